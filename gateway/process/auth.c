/* An auth process: the password store is its alone. */
#include "net/tls.h"
#include "process/role.h"
#include "sasl/service.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct auth {
    struct role role; /* at the front */
    struct sasl_service *service;
    bool is_leaving;
};

/* It stays as long as a worker of its generation may still have somebody who logs in. */
static void end_if_empty(void *owner)
{
    struct auth *a = owner;
    if (a->is_leaving && sasl_service_is_empty(a->service))
        loop_stop(a->role.loop);
}

static void on_message(struct role *r, const struct message *m)
{
    struct auth *a = (struct auth *)r; /* it lies at the front */
    if (m != NULL && m->type == MESSAGE_PEER) {
        const struct message_peer *peer = m->payload;
        sasl_service_add(a->service, message_take_fd(m), peer->role == PROCESS_WORKER);
    } else if (m == NULL || m->type == MESSAGE_RETIRE || m->type == MESSAGE_STOP) {
        a->is_leaving = true;
        role_set_state(r,
                       m != NULL && m->type == MESSAGE_STOP ? PROCESS_STOPPING : PROCESS_DRAINING);
        end_if_empty(a);
    }
}

void auth_main(const struct birth *birth)
{
    struct auth a = {.is_leaving = false};
    struct error why;
    role_begin(&a.role, birth, on_message);
    const struct sasl_service_options options = {
        .loop = a.role.loop,
        .config = a.role.config,
        .log = &a.role.log,
        .backend = birth->mapping->backend,
        .secret = birth->mapping->sasl_secret,
        .aliases = files_list(birth->prepared->watched, a.role.config, WATCHED_ALIASES)};
    a.service = sasl_service_create(&options, &why);
    if (a.service == NULL) {
        log_event(&a.role.log, EVENT_process_failed, field_text(KEY_reason, why.text));
        role_end(&a.role);
        exit(EXIT_FAILURE);
    }
    sasl_service_on_empty(a.service, end_if_empty, &a);
    role_run(&a.role);
    sasl_service_on_empty(a.service, NULL, NULL);
    sasl_service_destroy(&a.service);
    role_end(&a.role);
}
