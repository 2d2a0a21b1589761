#include "core/decay.h"

#include "base/date.h"

typedef pql_udecimal wide;

struct fraction { /* of 2 ^ 128 */
    uint64_t high, low;
};

/* 2 ^ -(2 ^ -i) for i = 1 ..., rounded down. */
static const struct fraction roots[64] = {
    {0xb504f333f9de6484, 0x597d89b3754abe9f}, {0xd744fccad69d6af4, 0x39a68bb9902d3fde},
    {0xeac0c6e7dd24392e, 0xd02d75b3706e54fa}, {0xf5257d152486cc2c, 0x7b9d0c7aed980fc3},
    {0xfa83b2db722a033a, 0x7c25bb14315d7fcc}, {0xfd3e0c0cf486c174, 0x853f3a5931e0ee03},
    {0xfe9e115c7b8f884b, 0xadd25995e79d2f09}, {0xff4ecb59511ec8a5, 0x301ba217ef18dd7c},
    {0xffa756521c8daed1, 0x9f3a1b48fb94c589}, {0xffd3a751c0f7e10b, 0xd3b9f8ae012fbe06},
    {0xffe9d2b2f7db2755, 0xddf1d28a378a438c}, {0xfff4e91bff1b8c3d, 0x88338e0ebf284a4d},
    {0xfffa747ea0040664, 0x238f92f792405805}, {0xfffd3a3b7814eb53, 0xcd7629d70fea116a},
    {0xfffe9d1cc60ddab1, 0x26de1aec4a87e7b8}, {0xffff4e8e25879bfa, 0x09ea263360240c1a},
    {0xffffa7470363f451, 0x5426d76c762b6b61}, {0xffffd3a37dda0313, 0x3bde87a8379c8932},
    {0xffffe9d1bdf703ae, 0xf21ea4dcfb0682d8}, {0xfffff4e8debe025e, 0x24128a3d460731f1},
    {0xfffffa746f4fa150, 0x6788fbc89750bf71}, {0xfffffd3a37a3f8b0, 0x7e7c4871dc00d76e},
    {0xfffffe9d1bd1065a, 0x50971275792f1c83}, {0xffffff4e8de845ad, 0xac77243cd0914b37},
    {0xffffffa746f41376, 0xf74124cd483186d4}, {0xffffffd3a37a05e3, 0x83e14c90273c94f5},
    {0xffffffe9d1bd01fb, 0xc400bf822dc936b5}, {0xfffffff4e8de80c0, 0x62846365949b61af},
    {0xfffffffa746f4050, 0xd1633246a8a0e09a}, {0xfffffffd3a37a024, 0x90b9d93da3c1ebcf},
    {0xfffffffe9d1bd011, 0x525efca410b8eab7}, {0xffffffff4e8de808, 0x6bb002532d71e54d},
    {0xffffffffa746f404, 0x26782229daaa3cfa}, {0xffffffffd3a37a02, 0x0f641954fda6eedd},
    {0xffffffffe9d1bd01, 0x06bc0eba82d29b40}, {0xfffffffff4e8de80, 0x832087e142666c8b},
    {0xfffffffffa746f40, 0x4180e411a17228bf}, {0xfffffffffd3a37a0, 0x20bc9a1110c8c656},
    {0xfffffffffe9d1bd0, 0x105d570a98684e53}, {0xffffffffff4e8de8, 0x082e6e05d03521c9},
    {0xffffffffffa746f4, 0x041727a3091acf87}, {0xffffffffffd3a37a, 0x020b8ff98ccd776b},
    {0xffffffffffe9d1bd, 0x0105c706c876bf9f}, {0xfffffffffff4e8de, 0x8082e345e4bf60ca},
    {0xfffffffffffa746f, 0x404171939280b0a3}, {0xfffffffffffd3a37, 0xa020b8c5f1489861},
    {0xfffffffffffe9d1b, 0xd0105c6202a65c34}, {0xffffffffffff4e8d, 0xe8082e30c3d3b21b},
    {0xffffffffffffa746, 0xf40417185289fa0d}, {0xffffffffffffd3a3, 0x7a020b8c256d0547},
    {0xffffffffffffe9d1, 0xbd0105c611c084b3}, {0xfffffffffffff4e8, 0xde8082e308a2c2dd},
    {0xfffffffffffffa74, 0x6f4041718442018f}, {0xfffffffffffffd3a, 0x37a020b8c21d28d0},
    {0xfffffffffffffe9d, 0x1bd0105c610d9e6a}, {0xffffffffffffff4e, 0x8de8082e308691b5},
    {0xffffffffffffffa7, 0x46f404171843397a}, {0xffffffffffffffd3, 0xa37a020b8c2198e5},
    {0xffffffffffffffe9, 0xd1bd0105c610cb7c}, {0xfffffffffffffff4, 0xe8de8082e3086580},
    {0xfffffffffffffffa, 0x746f4041718432b1}, {0xfffffffffffffffd, 0x3a37a020b8c21954},
    {0xfffffffffffffffe, 0x9d1bd0105c610ca9}, {0xffffffffffffffff, 0x4e8de8082e308654},
};

static const uint64_t ln2 = 0xb17217f7d1cf79ab; /* of 2 ^ 64 */

/* The upper half of a product: at most two too small. */
static struct fraction times(struct fraction a, struct fraction b)
{
    wide high = (wide)a.high * b.high;
    wide middle = (((wide)a.high * b.low) >> 64) + (((wide)a.low * b.high) >> 64);
    high += middle;
    return (struct fraction){(uint64_t)(high >> 64), (uint64_t)high};
}

/* 2 ^ -x of x = rest / span, below 1 and not 0. Each of at most 65 products loses less than 4 of 2 ^ 128, so
 * that what comes out is too small by less than 2 ^ -119. */
static struct fraction power_of(int64_t rest, int64_t span)
{
    wide scaled = (wide)(uint64_t)rest << 64;
    uint64_t first = (uint64_t)(scaled / (uint64_t)span);
    uint64_t second = (uint64_t)((scaled % (uint64_t)span << 64) / (uint64_t)span);
    struct fraction power = {UINT64_MAX, UINT64_MAX};
    for (int i = 0; i < 64; i++)
        if (first >> (63 - i) & 1) power = times(power, roots[i]);
    /* What is left of x is below 2 ^ -64: 1 - x ln 2 is as good as it gets. */
    uint64_t less = (uint64_t)(((wide)second * ln2) >> 64);
    wide all = ((wide)power.high << 64 | power.low) - (((wide)less * power.high) >> 64);
    return (struct fraction){(uint64_t)(all >> 64), (uint64_t)all};
}

/* 10 ^ 6 * power / 2 ^ halvings, to the nearest. A power of a fraction is irrational, so it is never half
 * way; the next nearest to half way of all that can be told apart in ms is much further off than 2 ^ -99. */
static uint32_t round_power(struct fraction power, int64_t halvings)
{
    wide low = (wide)power.low * PQL_DECAY_ONE;
    wide high = (wide)power.high * PQL_DECAY_ONE + (low >> 64);
    return (uint32_t)((high >> (63 + halvings)) + 1) >> 1;
}

/* 10 ^ 6 / 2 ^ halvings, half to even. */
static uint32_t round_half(int64_t halvings)
{
    uint32_t down = PQL_DECAY_ONE >> halvings, rest = PQL_DECAY_ONE - (down << halvings);
    uint32_t half = halvings ? UINT32_C(1) << (halvings - 1) : 0;
    return down + (halvings && (rest > half || (rest == half && (down & 1))));
}

enum { HALVINGS_MAX = 21 }; /* 10 ^ 6 / 2 ^ 21 is less than a half */

static uint32_t halved(wide age, int64_t span)
{
    wide halvings = age / (uint64_t)span;
    int64_t rest = (int64_t)(age % (uint64_t)span);
    if (halvings >= HALVINGS_MAX) return 0;
    return rest ? round_power(power_of(rest, span), (int64_t)halvings) : round_half((int64_t)halvings);
}

static uint32_t faded(wide age, int64_t span)
{
    if (age >= (uint64_t)span) return 0;
    wide scaled = age * PQL_DECAY_ONE, gone = scaled / (uint64_t)span, rest = scaled % (uint64_t)span * 2;
    gone += rest > (uint64_t)span || (rest == (uint64_t)span && (gone & 1));
    return PQL_DECAY_ONE - (uint32_t)gone;
}

uint32_t pql_decay_weight(const struct pql_decay *decay, int64_t n)
{
    if (n <= 0) return PQL_DECAY_ONE;
    if ((uint64_t)n < decay->weights_count) return decay->weights[n];
    wide age = (wide)(uint64_t)n * (uint64_t)decay->step_ms;
    return decay->is_linear ? faded(age, decay->span_ms) : halved(age, decay->span_ms);
}

int64_t pql_decay_step_of(const struct pql_decay *decay, int64_t time_ms)
{
    return pql_floor_div(time_ms, decay->step_ms);
}

uint32_t pql_decay_at(const struct pql_decay *decay, int64_t e_ms, int64_t t_ms)
{
    return pql_decay_weight(decay, pql_decay_step_of(decay, t_ms) - pql_decay_step_of(decay, e_ms));
}

int64_t pql_decay_next(const struct pql_decay *decay, int64_t t_ms)
{
    return (pql_decay_step_of(decay, t_ms) + 1) * decay->step_ms;
}

int64_t pql_decay_steps(const struct pql_decay *decay)
{
    int64_t low = 0, high = decay->span_ms / decay->step_ms * HALVINGS_MAX + HALVINGS_MAX + 1;
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;
        if (pql_decay_weight(decay, middle))
            low = middle;
        else
            high = middle;
    }
    return high;
}

size_t pql_decay_table_size(const struct pql_decay *decay)
{
    int64_t steps = pql_decay_steps(decay);
    return steps < PQL_DECAY_TABLE_MAX ? (size_t)steps + 1 : PQL_DECAY_TABLE_MAX;
}

void pql_decay_table_fill(struct pql_decay *decay, uint32_t *weights, size_t count)
{
    decay->weights_count = 0;
    for (size_t i = 0; i < count; i++) weights[i] = pql_decay_weight(decay, (int64_t)i);
    decay->weights = weights;
    decay->weights_count = count;
}

/* Apart, so that neither overflows whatever is summed up. */
void pql_decayed_add(struct pql_decayed *sum, pql_decimal value, uint32_t weight)
{
    sum->whole += value / PQL_DECAY_ONE * weight;
    sum->rest += value % PQL_DECAY_ONE * weight;
}

pql_decimal pql_decayed_sum(const struct pql_decayed *sum)
{
    pql_decimal up = sum->rest / PQL_DECAY_ONE, rest = sum->rest % PQL_DECAY_ONE;
    if (rest < 0) up--, rest += PQL_DECAY_ONE;
    bool is_even = ((sum->whole + up) & 1) == 0;
    up += rest > PQL_DECAY_ONE / 2 || (rest == PQL_DECAY_ONE / 2 && !is_even);
    return pql_decimal_add(sum->whole + up, 0);
}
