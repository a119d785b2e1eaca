/* What a service manager is told, where there is one (sd_notify(3)). */
#pragma once

void notify_ready(void);
void notify_reloading(void);
void notify_stopping(void);
