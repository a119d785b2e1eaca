#include "message/received.h"

#include <stdio.h>

size_t received_write(const struct received *r, char out[RECEIVED_MAX])
{
    int size = snprintf(out, RECEIVED_MAX,
                        "Received: by %.255s (Porteiro) with %s id %.32s\r\n"
                        "\t(using %.16s with cipher %.64s);\r\n"
                        "\t%.64s\r\n",
                        r->by, r->is_smtputf8 ? "UTF8SMTPSA" : "ESMTPSA", r->id, r->tls_version,
                        r->cipher, r->date);
    return size < 0 ? 0 : (size_t)size; /* the parts are cut so that it fits */
}
