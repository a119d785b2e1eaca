/* Looking through bulk bytes sixteen at a time: what a mail gateway looks for in every body. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* Hot: the first CR or LF in [at, end), or `end`. About 0.1 ns a byte on text of 70-byte lines; no
 * system call, copy or allocation. */
static inline const char *scan_line_break(const char *at, const char *end)
{
#ifdef __SSE2__
    const __m128i cr = _mm_set1_epi8('\r'), lf = _mm_set1_epi8('\n');
    for (; end - at >= 16; at += 16) {
        __m128i block = _mm_loadu_si128((const __m128i *)(const void *)at);
        __m128i hit = _mm_or_si128(_mm_cmpeq_epi8(block, cr), _mm_cmpeq_epi8(block, lf));
        unsigned mask = (unsigned)_mm_movemask_epi8(hit);
        if (mask != 0)
            return at + __builtin_ctz(mask);
    }
#endif
    while (at < end && *at != '\r' && *at != '\n')
        at++;
    return at;
}

/* Hot: the first byte `a` that is followed by `b`, both in [at, end), or `end`. The price is that
 * of scan_line_break. */
static inline const char *scan_pair(const char *at, const char *end, char a, char b)
{
#ifdef __SSE2__
    const __m128i first = _mm_set1_epi8(a), second = _mm_set1_epi8(b);
    for (; end - at >= 17; at += 16) {
        __m128i block = _mm_loadu_si128((const __m128i *)(const void *)at);
        __m128i next = _mm_loadu_si128((const __m128i *)(const void *)(at + 1));
        __m128i hit = _mm_and_si128(_mm_cmpeq_epi8(block, first), _mm_cmpeq_epi8(next, second));
        unsigned mask = (unsigned)_mm_movemask_epi8(hit);
        if (mask != 0)
            return at + __builtin_ctz(mask);
    }
#endif
    for (; end - at >= 2; at++)
        if (at[0] == a && at[1] == b)
            return at;
    return end;
}

/* Hot: the first byte in [at, end) that, with the one behind it, isn't of lines that pass as they
 * are: a CR without LF, what stands before an LF without being CR, an LF before a dot; or the last
 * one, which has none behind it; or `end`, of none. About twice the price, and no branch a line. */
static inline const char *scan_plain_lines(const char *at, const char *end)
{
#ifdef __SSE2__
    const __m128i cr = _mm_set1_epi8('\r'), lf = _mm_set1_epi8('\n'), dot = _mm_set1_epi8('.');
    for (; end - at >= 17; at += 16) {
        __m128i block = _mm_loadu_si128((const __m128i *)(const void *)at);
        __m128i next = _mm_loadu_si128((const __m128i *)(const void *)(at + 1));
        __m128i bare = _mm_xor_si128(_mm_cmpeq_epi8(block, cr), _mm_cmpeq_epi8(next, lf));
        __m128i dotted = _mm_and_si128(_mm_cmpeq_epi8(block, lf), _mm_cmpeq_epi8(next, dot));
        unsigned mask = (unsigned)_mm_movemask_epi8(_mm_or_si128(bare, dotted));
        if (mask != 0)
            return at + __builtin_ctz(mask);
    }
#endif
    for (; end - at >= 2; at++)
        if ((at[0] == '\r') != (at[1] == '\n') || (at[0] == '\n' && at[1] == '.'))
            break;
    return at;
}

/* Hot: the first byte in [at, end) that stands in no field's name (RFC 5322 section 3.6.8): a
 * colon, a space, a control character, or none of ASCII; or `end`. The price likewise. */
static inline const char *scan_field_name(const char *at, const char *end)
{
#ifdef __SSE2__
    const __m128i space = _mm_set1_epi8(' '), colon = _mm_set1_epi8(':'),
                  rubout = _mm_set1_epi8(0x7f);
    for (; end - at >= 16; at += 16) {
        __m128i block = _mm_loadu_si128((const __m128i *)(const void *)at);
        __m128i printed = _mm_cmpgt_epi8(block, space); /* signed: above 0x7f is below it */
        __m128i other = _mm_or_si128(_mm_cmpeq_epi8(block, colon), _mm_cmpeq_epi8(block, rubout));
        unsigned names = (unsigned)_mm_movemask_epi8(_mm_andnot_si128(other, printed));
        if (names != 0xffff)
            return at + __builtin_ctz(~names);
    }
#endif
    while (at < end && (unsigned char)*at > ' ' && (unsigned char)*at < 0x7f && *at != ':')
        at++;
    return at;
}

#ifdef __SSE2__
/* Which of the sixteen bytes a word of a log line may have: a bit for each, the first the lowest.
 */
static inline unsigned scan_word_bytes(const char *at)
{
    const __m128i space = _mm_set1_epi8(' '), rubout = _mm_set1_epi8(0x7f),
                  quote = _mm_set1_epi8('"'), equals = _mm_set1_epi8('='),
                  backslash = _mm_set1_epi8('\\');
    __m128i block = _mm_loadu_si128((const __m128i *)(const void *)at);
    __m128i printed = _mm_cmpgt_epi8(block, space); /* signed: above 0x7f is below it */
    __m128i one = _mm_or_si128(_mm_cmpeq_epi8(block, quote), _mm_cmpeq_epi8(block, equals));
    __m128i two = _mm_or_si128(_mm_cmpeq_epi8(block, backslash), _mm_cmpeq_epi8(block, rubout));
    return (unsigned)_mm_movemask_epi8(_mm_andnot_si128(_mm_or_si128(one, two), printed));
}
#endif

/* Hot: the first byte in [at, end) that a word of a log line doesn't have: anything but printable
 * ASCII, a space, a quote, an equals sign, a backslash; or `end`. The price likewise. */
static inline const char *scan_word(const char *at, const char *end)
{
#ifdef __SSE2__
    for (; end - at >= 16; at += 16) {
        unsigned word = scan_word_bytes(at);
        if (word != 0xffff)
            return at + __builtin_ctz(~word);
    }
#endif
    while (at < end && (unsigned char)*at > ' ' && (unsigned char)*at < 0x7f && *at != '"' &&
           *at != '=' && *at != '\\')
        at++;
    return at;
}

enum { SCAN_OVER = 15 };

/* Hot: is it a word as a whole? For short texts: reads up to SCAN_OVER bytes behind it. */
static inline bool scan_is_word(const char *at, size_t size)
{
#ifdef __SSE2__
    for (; size >= 16; at += 16, size -= 16)
        if (scan_word_bytes(at) != 0xffff)
            return false;
    return size == 0 || (~scan_word_bytes(at) & ((1U << size) - 1)) == 0;
#else
    return scan_word(at, at + size) == at + size;
#endif
}

/* Hot: the first byte in [at, end) that a log line's key doesn't have: anything but a small letter
 * or an underscore; or `end`. */
static inline const char *scan_key(const char *at, const char *end)
{
#ifdef __SSE2__
    const __m128i before = _mm_set1_epi8('_' - 1), behind = _mm_set1_epi8('z' + 1),
                  backquote = _mm_set1_epi8('`');
    for (; end - at >= 16; at += 16) { /* between the two: the letters, '_' and '`' */
        __m128i block = _mm_loadu_si128((const __m128i *)(const void *)at);
        __m128i near = _mm_and_si128(_mm_cmpgt_epi8(block, before), _mm_cmplt_epi8(block, behind));
        unsigned keys =
            (unsigned)_mm_movemask_epi8(_mm_andnot_si128(_mm_cmpeq_epi8(block, backquote), near));
        if (keys != 0xffff)
            return at + __builtin_ctz(~keys);
    }
#endif
    while (at < end && ((*at >= 'a' && *at <= 'z') || *at == '_'))
        at++;
    return at;
}

/* Hot: the first byte in [at, end) that doesn't stand for itself within quotes: a control
 * character, a quote, a backslash; or `end`. */
static inline const char *scan_quoted(const char *at, const char *end)
{
#ifdef __SSE2__
    const __m128i last = _mm_set1_epi8(' ' - 1), rubout = _mm_set1_epi8(0x7f),
                  quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\');
    for (; end - at >= 16; at += 16) {
        __m128i block = _mm_loadu_si128((const __m128i *)(const void *)at);
        __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(block, last), block);
        __m128i one = _mm_or_si128(_mm_cmpeq_epi8(block, quote), _mm_cmpeq_epi8(block, backslash));
        __m128i hit = _mm_or_si128(_mm_or_si128(low, one), _mm_cmpeq_epi8(block, rubout));
        unsigned mask = (unsigned)_mm_movemask_epi8(hit);
        if (mask != 0)
            return at + __builtin_ctz(mask);
    }
#endif
    while (at < end && (unsigned char)*at >= ' ' && *at != 0x7f && *at != '"' && *at != '\\')
        at++;
    return at;
}

/* Hot: the first control character (below a space, or DEL) in [at, end), or `end`. */
static inline const char *scan_control(const char *at, const char *end)
{
#ifdef __SSE2__
    const __m128i last = _mm_set1_epi8(' ' - 1), rubout = _mm_set1_epi8(0x7f);
    for (; end - at >= 16; at += 16) {
        __m128i block = _mm_loadu_si128((const __m128i *)(const void *)at);
        __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(block, last), block);
        unsigned mask =
            (unsigned)_mm_movemask_epi8(_mm_or_si128(low, _mm_cmpeq_epi8(block, rubout)));
        if (mask != 0)
            return at + __builtin_ctz(mask);
    }
#endif
    while (at < end && (unsigned char)*at >= ' ' && *at != 0x7f)
        at++;
    return at;
}

/* Hot: the first byte in [at, end) that is none of ASCII, or `end`. */
static inline const char *scan_ascii(const char *at, const char *end)
{
#ifdef __SSE2__
    for (; end - at >= 16; at += 16) {
        unsigned mask =
            (unsigned)_mm_movemask_epi8(_mm_loadu_si128((const __m128i *)(const void *)at));
        if (mask != 0)
            return at + __builtin_ctz(mask);
    }
#endif
    while (at < end && (unsigned char)*at < 0x80)
        at++;
    return at;
}
