/*
 * notify.h - tells systemd how the service is doing (sd_notify).
 */
#ifndef OX_WORKER_NOTIFY_H
#define OX_WORKER_NOTIFY_H

/* Sends a state like "READY=1". Does nothing where nobody asked for it. */
void notify_service_manager(const char *state);

#endif /* OX_WORKER_NOTIFY_H */
