/*
 * outgoing.h - a job on its way to a child.
 *
 * It is written as four pieces straight from where its text lies; nothing is copied and, since
 * a child has one job at a time, one request per child is enough.
 */
#ifndef OX_WORKER_OUTGOING_H
#define OX_WORKER_OUTGOING_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "frame.h"

/* All zero at first. Lives as long as the stream. */
struct outgoing {
    uv_write_t write;
    struct frame_job_out heads;
    bool writing; /* some of it is still on its way */
};

/* Makes the frames' heads of a job; false when it is too large. */
bool outgoing_fits(struct outgoing *outgoing, uint32_t serial, const struct frame_job *job);
/* Sends that job, whose strings stay where they are until it is answered. */
void outgoing_send(struct outgoing *outgoing, uv_stream_t *stream, const struct frame_job *job);

#endif /* OX_WORKER_OUTGOING_H */
