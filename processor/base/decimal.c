#include "base/decimal.h"


static pql_decimal saturate(pql_decimal value)
{
    if (value > PQL_DECIMAL_MAX) return PQL_DECIMAL_MAX;
    return value < -PQL_DECIMAL_MAX ? -PQL_DECIMAL_MAX : value;
}

static pql_udecimal magnitude(pql_decimal value) { return value < 0 ? -(pql_udecimal)value : (pql_udecimal)value; }

static pql_decimal with_sign(pql_udecimal value, bool negative)
{
    if (value > (pql_udecimal)PQL_DECIMAL_MAX) value = (pql_udecimal)PQL_DECIMAL_MAX;
    return negative ? -(pql_decimal)value : (pql_decimal)value;
}

/* n / d rounded half to even, d > 0. */
static pql_udecimal divide_half_even(pql_udecimal n, pql_udecimal d)
{
    pql_udecimal q = n / d, r = n % d, rest = d - r;
    return q + (r > rest || (r == rest && (q & 1)));
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
        n = shift > 54 ? (mantissa ? (pql_udecimal)PQL_DECIMAL_MAX : 0) : n << shift;
    else
        n = shift < -80 ? 0 : divide_half_even(n, (pql_udecimal)1 << -shift);
    *out = with_sign(n, negative);
    return true;
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
            if (n <= (pql_udecimal)PQL_DECIMAL_MAX) n = n * 10 + digit;
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
    for (int p = places < 0 ? 0 : places > 6 ? 6 : places; p < 6; p++)
        if (n <= (pql_udecimal)PQL_DECIMAL_MAX) n *= 10;
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

pql_decimal pql_decimal_add(pql_decimal a, pql_decimal b) { return saturate(a + b); }

pql_decimal pql_decimal_mul(pql_decimal a, pql_decimal b)
{
    pql_udecimal x = magnitude(a), y = magnitude(b), product;
    bool negative = (a < 0) != (b < 0);
    if (!__builtin_mul_overflow(x, y, &product)) return with_sign(divide_half_even(product, 1000000u), negative);
    /* Split y so that the parts fit; what still overflows is beyond the largest value. */
    pql_udecimal high, low = x * 0;
    if (__builtin_mul_overflow(x, y / 1000000u, &high)) return with_sign((pql_udecimal)PQL_DECIMAL_MAX, negative);
    if (__builtin_mul_overflow(x, y % 1000000u, &low)) return with_sign((pql_udecimal)PQL_DECIMAL_MAX, negative);
    return with_sign(high + divide_half_even(low, 1000000u), negative);
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
    /* Long division by steps of ten keeps the remainder below y. */
    pql_udecimal q = x / y, r = x % y;
    for (int i = 0; i < 6; i++) {
        if (q > (pql_udecimal)PQL_DECIMAL_MAX) break;
        q = q * 10 + r * 10 / y;
        r = r * 10 % y;
    }
    q += r > y - r || (r == y - r && (q & 1));
    *out = with_sign(q, negative);
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
