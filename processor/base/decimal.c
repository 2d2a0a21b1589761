#include "base/decimal.h"

#define LARGEST ((pql_udecimal)PQL_DECIMAL_MAX)

static pql_udecimal magnitude(pql_decimal value)
{
    return value < 0 ? -(pql_udecimal)value : (pql_udecimal)value;
}

static pql_decimal with_sign(pql_udecimal value, bool negative)
{
    if (value > LARGEST) value = LARGEST;
    return negative ? -(pql_decimal)value : (pql_decimal)value;
}

/* n * 10 + digit; what is too large stays so and never wraps round. */
static pql_udecimal append(pql_udecimal n, unsigned digit)
{
    return n > LARGEST / 10 ? LARGEST + 1 : n * 10 + digit;
}

/* Quotient q with remainder r of a division by d, rounded half to even. */
static pql_udecimal round_half_even(pql_udecimal q, pql_udecimal r, pql_udecimal d)
{
    return q + (r > d - r || (r == d - r && (q & 1)));
}

static pql_udecimal divide_half_even(pql_udecimal n, pql_udecimal d)
{
    return round_half_even(n / d, n % d, d);
}

/* m * 2^shift / 1 in millionths. m has 53 bits, m * 10^6 at most 73: shifting left by more than 54 can only
 * saturate, shifting right by more than 80 can only give 0. */
bool pql_decimal_of_double(double value, pql_decimal *out)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    int exponent = (int)(bits >> 52 & 0x7ff);
    uint64_t mantissa = bits & ((UINT64_C(1) << 52) - 1);
    bool negative = bits >> 63;
    if (exponent == 0x7ff) return false;
    if (exponent) mantissa |= UINT64_C(1) << 52;
    int shift = (exponent ? exponent : 1) - 1075;
    pql_udecimal n = (pql_udecimal)mantissa * 1000000u;
    if (shift >= 0)
        n = shift > 54 ? (mantissa ? LARGEST : 0) : n << shift;
    else
        n = shift < -80 ? 0 : divide_half_even(n, (pql_udecimal)1 << -shift);
    *out = with_sign(n, negative);
    return true;
}

bool pql_decimal_text_fits(struct pql_slice text)
{
    enum { WHOLE_MAX = 33, PLACES_MAX = 6 };
    const char *point = text.len ? memchr(text.ptr, '.', text.len) : NULL;
    size_t sign = text.len && text.ptr[0] == '-', whole = point ? (size_t)(point - text.ptr) : text.len;
    return whole - sign <= WHOLE_MAX && (!point || text.len - whole - 1 <= PLACES_MAX);
}

bool pql_decimal_of_text(struct pql_slice text, pql_decimal *out)
{
    size_t i = 0;
    bool negative = text.len && text.ptr[0] == '-';
    if (negative) i++;
    size_t first = i;
    pql_udecimal n = 0;
    int places = -1;
    bool half = false, more = false;
    for (; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '.' && places < 0 && i > first) {
            places = 0;
            continue;
        }
        if (c < '0' || c > '9') return false;
        unsigned digit = (unsigned)(c - '0');
        if (places < 6) {
            n = append(n, digit);
            if (places >= 0) places++;
        } else {
            if (places == 6)
                half = digit >= 5, more = digit != 5;
            else
                more = more || digit;
            if (places == 6 && digit < 5) half = false;
            places = 7;
        }
    }
    if (i == first || text.ptr[text.len - 1] == '.') return false;
    for (int p = places < 0 ? 0 : places > 6 ? 6 : places; p < 6; p++) n = append(n, 0);
    if (half && (more || (n & 1))) n++;
    *out = with_sign(n, negative);
    return true;
}

double pql_decimal_to_double(pql_decimal value)
{
    pql_udecimal m = magnitude(value);
    double whole;
    if (m < (pql_udecimal)1 << 53) {
        whole = (double)(uint64_t)m / 1e6; /* both exact, so the quotient is the nearest double */
    } else {
        pql_udecimal units = m / 1000000u;
        whole = (double)units + (double)(uint64_t)(m % 1000000u) / 1e6;
    }
    return value < 0 ? -whole : whole;
}

pql_decimal pql_decimal_add(pql_decimal a, pql_decimal b)
{
    pql_decimal sum;
    if (__builtin_add_overflow(a, b, &sum)) return a < 0 ? -PQL_DECIMAL_MAX : PQL_DECIMAL_MAX;
    return with_sign(magnitude(sum), sum < 0);
}

/* With a = (xh * 10^6 + xl) and b likewise, a * b / 10^6 = xh * yh * 10^6 + xh * yl + xl * yh + xl * yl /
 * 10^6, of which each term is at most LARGEST or the whole is too large; three of them fit. */
pql_decimal pql_decimal_mul(pql_decimal a, pql_decimal b)
{
    const pql_udecimal million = 1000000u;
    pql_udecimal x = magnitude(a), y = magnitude(b), product;
    bool negative = (a < 0) != (b < 0);
    if (!__builtin_mul_overflow(x, y, &product))
        return with_sign(divide_half_even(product, million), negative);
    pql_udecimal xh = x / million, xl = x % million, yh = y / million, yl = y % million, high;
    if (__builtin_mul_overflow(xh, yh, &high) || high > LARGEST / million)
        return with_sign(LARGEST, negative);
    pql_udecimal q = high * million + xh * yl + xl * yh + xl * yl / million;
    return with_sign(round_half_even(q, xl * yl % million, million), negative);
}

bool pql_decimal_div(pql_decimal a, pql_decimal b, pql_decimal *out)
{
    if (b == 0) return false;
    pql_udecimal x = magnitude(a), y = magnitude(b), n;
    bool negative = (a < 0) != (b < 0);
    if (!__builtin_mul_overflow(x, (pql_udecimal)1000000u, &n)) {
        *out = with_sign(divide_half_even(n, y), negative);
        return true;
    }
    /* Long division, a decimal place a step. Ten remainders may not fit, two do. */
    pql_udecimal q = x / y, r = x % y;
    for (int place = 0; place < 6; place++) {
        pql_udecimal rest = 0;
        unsigned digit = 0;
        for (int i = 0; i < 10; i++) {
            rest += r;
            if (rest >= y) rest -= y, digit++;
        }
        q = append(q, digit);
        r = rest;
    }
    *out = with_sign(round_half_even(q, r, y), negative);
    return true;
}

size_t pql_decimal_text(pql_decimal value, char out[PQL_DECIMAL_TEXT_MAX])
{
    char digits[PQL_DECIMAL_TEXT_MAX];
    size_t n = 0, len = 0;
    pql_udecimal m = magnitude(value);
    unsigned fraction = (unsigned)(m % 1000000u);
    m /= 1000000u;
    do {
        digits[n++] = (char)('0' + (int)(m % 10));
        m /= 10;
    } while (m);
    if (value < 0) out[len++] = '-';
    while (n) out[len++] = digits[--n];
    if (fraction) {
        out[len++] = '.';
        for (unsigned unit = 100000; fraction; unit /= 10) {
            out[len++] = (char)('0' + (int)(fraction / unit));
            fraction %= unit;
        }
    }
    out[len] = 0;
    return len;
}
