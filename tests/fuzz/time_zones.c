/* A file of a time zone, whatever is in it. The input is a moment, eight octets, and the file. */
#include "policy/zone.h"

#include "policy/calendar.h"

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span file = span_make((const char *)data, size);
    struct leftover exact = {NULL, {NULL, 0}};
    struct error why;
    uint64_t moment = 0;
    for (int i = 0; i < 8; i++)
        moment = moment << 8 | take_byte(&file);
    struct span bytes = *leftover_join(&exact, file);
    int32_t offset = zone_offset(bytes, (int64_t)moment);
    must(offset >= ZONE_OFFSET_MIN && offset <= ZONE_OFFSET_MAX, "an offset is about a day");
    struct wall_time w = calendar_wall_time((int64_t)moment, offset);
    must(w.year >= 1 && w.year <= 9999 && w.month >= 1 && w.month <= 12 && w.day >= 1 &&
             w.day <= calendar_month_size(w.year, w.month) && w.minute >= 0 && w.minute < 1440 &&
             w.weekday == calendar_weekday(calendar_days(w.year, w.month, w.day)),
         "a clock shows a time");
    if (zone_check(bytes, &why) < 0)
        must(why.text[0] != '\0', "what is wrong is told");
    leftover_drop(&exact);
    return 0;
}
