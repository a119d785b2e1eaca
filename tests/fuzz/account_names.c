/* What somebody calls himself. A first NUL parts the name from the realm. */
#include "auth/account.h"
#include "base/utf8.h"

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span realm = span_make((const char *)data, size), given = span_split(&realm, '\0');
    char of_realm[256], first[ACCOUNT_SIZE], second[ACCOUNT_SIZE];
    struct leftover name = {NULL, {NULL, 0}};
    (void)span_copy(realm.size == 0 ? span_of("example.com") : realm, of_realm, sizeof of_realm);
    given = *leftover_join(&name, given);
    if (account_canonical(given, of_realm, first) == 0) {
        struct span all = span_of(first), domain = all, local = span_split(&domain, '@');
        must(local.size > 0 && local.size <= 64 && domain.size > 0 && domain.size <= 253,
             "an account is a local part, @ and a domain");
        must(is_clean(all, " \\%!/\"<>,;:") && utf8_is_valid(all), "no account fools a store");
        must(memchr(domain.data, '@', domain.size) == NULL && is_ascii(domain),
             "a domain is of A-labels");
        for (size_t i = 0; i < all.size; i++)
            must(all.data[i] == ascii_lower(all.data[i]), "an account is in lower case");
        must(account_canonical(all, "other.example", second) == 0 && strcmp(first, second) == 0,
             "the canonical name of a canonical name is itself");
    }
    leftover_drop(&name);
    return 0;
}
