/*
 * cron_next.c - from a pattern to the next time.
 *
 * A candidate time is moved over the local clock of the zone, from the month down to the
 * second: where a field does not match it is moved to the next month, day, hour, minute or
 * second, and the matching starts anew. It stops where all fields match.
 *
 * Days on which the clock is changed follow cron-parser, so that every worker of a scheduler
 * finds the same time. In short (docs/cron.md shows it by example):
 *   - A whole hour that is left out in spring counts as the first hour after it.
 *   - An hour that comes twice in autumn is passed over the second time, unless the pattern
 *     has all hours or the hand got there by minutes and seconds.
 *   - A local time that does not exist is read as the clock before the change would show it.
 * Where the clock goes back by part of an hour (Lord Howe), stepping to a full hour can lead
 * backwards; cron-parser then fails or returns a time in the past. We go on to the next full
 * hour that lies ahead.
 */
#include "cron/cron.h"

#include "base/error.h"

#include <time.h>

enum {
    none = -1,
    max_steps = 10000, /* covers every day of 27 years, or the Februaries of 250 */
    all_hours = 0xffffff
};

static const int64_t max_time_ms = INT64_C(8640000000000000); /* JavaScript's last */

struct hand {
    const struct ox__cron *cron;
    const struct ox__zone *zone;
    int64_t at_s;      /* Unix seconds */
    int32_t offset_s;  /* the zone's, there */
    struct tm wall;    /* local time, there */
    int skipped_hour;  /* the first of the hours that were left out on the way, or `none` */
    int landed_hour;   /* and the hour after them */
    int repeated_hour; /* the hour that has just begun a second time, or `none` */
    int checked_day;   /* year and day for which `uneven` is known, or `none` */
    bool uneven;       /* that day does not end with the offset it began with */
};

/* ---- Moving the hand --------------------------------------------------------------------- */

static void put(struct hand *hand, int64_t at_s)
{
    hand->at_s = at_s;
    hand->offset_s = ox__zone_offset_s(hand->zone, at_s);
    time_t local = (time_t)(at_s + hand->offset_s);
    gmtime_r(&local, &hand->wall);
}

/* Moves to a local time, whose parts may overflow. Of two such instants the one with the
 * present offset is meant. */
static void put_wall(struct hand *hand, struct tm wall)
{
    int64_t local_s = timegm(&wall);
    int32_t guess = hand->offset_s;
    int32_t there = ox__zone_offset_s(hand->zone, local_s - guess);

    if (there != guess) {
        int32_t again = ox__zone_offset_s(hand->zone, local_s - there);
        there = again < there ? again : there; /* they differ where no such time is */
    }
    put(hand, local_s - there);
}

static void put_clock(struct hand *hand, int hour, int minute, int second)
{
    struct tm wall = hand->wall;
    wall.tm_hour = hour;
    wall.tm_min = minute;
    wall.tm_sec = second;
    put_wall(hand, wall);
}

static int month_days(const struct tm *wall, int months_ahead)
{
    struct tm last = { .tm_year = wall->tm_year, .tm_mon = wall->tm_mon + months_ahead + 1 };
    timegm(&last); /* day 0: the last one of the month before */
    return last.tm_mday;
}

static void next_month(struct hand *hand)
{
    struct tm wall = hand->wall;
    int days = month_days(&wall, 1);
    wall.tm_mday = wall.tm_mday < days ? wall.tm_mday : days;
    wall.tm_mon++;
    put_wall(hand, wall);
    hand->wall.tm_mday = 1;
    put_clock(hand, 0, 0, 0);
}

static void next_day(struct hand *hand)
{
    struct tm wall = hand->wall;
    wall.tm_mday++;
    put_wall(hand, wall);
    put_clock(hand, 0, 0, 0);
}

/* After a move by hours, minutes or seconds: records that the clock was changed. */
static void note_change(struct hand *hand, int hour_before, int32_t offset_before_s)
{
    int hour = hand->wall.tm_hour;
    int ahead = (hour - hour_before + 24) % 24;

    if (hand->cron->set[OX__CRON_HOUR] == all_hours) {
        return;
    }
    if (hand->offset_s > offset_before_s && ahead >= 2) {
        hand->skipped_hour = (hour_before + 1) % 24;
        hand->landed_hour = hour;
    } else if (ahead == 0 && hand->wall.tm_min == 0 && hand->wall.tm_sec == 0) {
        hand->repeated_hour = hour;
    }
}

/* To the full hour of the local clock at or before that instant. */
static void put_hour(struct hand *hand, int64_t at_s)
{
    put(hand, at_s);
    put_clock(hand, hand->wall.tm_hour, 0, 0);
}

/* Where the clock goes back by part of an hour, or not at a full hour, the full hour found may
 * be one that has passed already: it is then the place to look on from. */
static void next_hour(struct hand *hand)
{
    int64_t from_s = hand->at_s;
    int hour = hand->wall.tm_hour;
    int32_t offset_s = hand->offset_s;

    put_hour(hand, from_s + 3600);
    int64_t base_s = hand->at_s;
    for (int64_t ahead_s = 3600; hand->at_s <= from_s; ahead_s += 3600) {
        put_hour(hand, base_s + ahead_s);
    }
    note_change(hand, hour, offset_s);
}

static void next_minute(struct hand *hand)
{
    int hour = hand->wall.tm_hour;
    int32_t offset_s = hand->offset_s;

    put(hand, hand->at_s + 60);
    put_clock(hand, hand->wall.tm_hour, hand->wall.tm_min, 0);
    note_change(hand, hour, offset_s);
}

static void next_second(struct hand *hand)
{
    int hour = hand->wall.tm_hour;
    int32_t offset_s = hand->offset_s;

    put(hand, hand->at_s + 1);
    note_change(hand, hour, offset_s);
}

/* ---- Does it fit? ------------------------------------------------------------------------ */

static bool has(uint64_t set, int value)
{
    return (set >> value & 1) != 0;
}

/* The first value of the set after `value` (-1: of all), or `none`. */
static int value_after(uint64_t set, int value)
{
    for (int next = value + 1; next < 64; next++) {
        if (has(set, next)) {
            return next;
        }
    }
    return none;
}

static int first_of(const struct hand *hand, enum ox__cron_field field)
{
    return value_after(hand->cron->set[field], none);
}

static bool fits_weekday(const struct ox__cron *cron, const struct tm *wall)
{
    bool nth = cron->nth == 0 || (wall->tm_mday + 6) / 7 == cron->nth;
    bool last = wall->tm_mday > month_days(wall, 0) - 7;

    return (has(cron->set[OX__CRON_WEEKDAY], wall->tm_wday) && nth) ||
           (has(cron->last_weekdays, wall->tm_wday) && last);
}

/* When both day fields are restricted, matching either is enough. */
static bool fits_day(const struct ox__cron *cron, const struct tm *wall)
{
    bool day = has(cron->set[OX__CRON_DAY], wall->tm_mday) ||
               (cron->last_day && wall->tm_mday == month_days(wall, 0));
    bool weekday = fits_weekday(cron, wall);

    if (cron->any_weekday) {
        return day;
    }
    return cron->any_day ? weekday : day || weekday;
}

/* Whether one of the hours that the clock left out on its way here was asked for. */
static bool fits_skipped_hour(const struct hand *hand)
{
    int hour = hand->wall.tm_hour;
    if (hand->skipped_hour == none || hand->landed_hour != hour) {
        return false;
    }
    for (int skipped = hand->skipped_hour; skipped != hour; skipped = (skipped + 1) % 24) {
        if (has(hand->cron->set[OX__CRON_HOUR], skipped)) {
            return true;
        }
    }
    return false;
}

/* Whether the clock is changed on this day. Found once for a day, where the hand enters it. */
static bool is_uneven_day(struct hand *hand)
{
    int day = hand->wall.tm_year * 366 + hand->wall.tm_yday;
    if (hand->checked_day != day) {
        struct hand start = *hand, end = *hand;
        put_clock(&start, 0, 0, 0);
        next_day(&end);
        hand->checked_day = day;
        hand->uneven = start.offset_s != ox__zone_offset_s(hand->zone, end.at_s - 1);
    }
    return hand->uneven;
}

/* Moves to the next hour of the pattern: at once, or hour by hour where the clock changes. */
static void seek_hour(struct hand *hand)
{
    int hour = hand->wall.tm_hour;
    int wanted = value_after(hand->cron->set[OX__CRON_HOUR], hour);
    int minute = first_of(hand, OX__CRON_MINUTE);
    int second = first_of(hand, OX__CRON_SECOND);

    if (wanted == none) {
        next_day(hand);
        return;
    }
    if (is_uneven_day(hand)) {
        for (int steps = wanted - hour; steps > 0 && hand->wall.tm_hour < wanted; steps--) {
            next_hour(hand);
        }
    } else {
        put_clock(hand, wanted, hand->wall.tm_min, hand->wall.tm_sec);
    }
    put_clock(hand, hand->wall.tm_hour, minute, second);
}

static bool settle_hour(struct hand *hand)
{
    int hour = hand->wall.tm_hour;
    if (fits_skipped_hour(hand)) {
        return true;
    }
    if (hand->repeated_hour == hour) {
        hand->repeated_hour = none;
        next_hour(hand);
        return false;
    }
    if (has(hand->cron->set[OX__CRON_HOUR], hour)) {
        return true;
    }
    hand->skipped_hour = none;
    seek_hour(hand);
    return false;
}

static bool settle_minute(struct hand *hand)
{
    uint64_t minutes = hand->cron->set[OX__CRON_MINUTE];
    if (has(minutes, hand->wall.tm_min)) {
        return true;
    }
    int minute = value_after(minutes, hand->wall.tm_min);
    if (minute == none) {
        next_hour(hand);
        minute = first_of(hand, OX__CRON_MINUTE);
    }
    put_clock(hand, hand->wall.tm_hour, minute, first_of(hand, OX__CRON_SECOND));
    return false;
}

static bool settle_second(struct hand *hand)
{
    uint64_t seconds = hand->cron->set[OX__CRON_SECOND];
    if (has(seconds, hand->wall.tm_sec)) {
        return true;
    }
    int second = value_after(seconds, hand->wall.tm_sec);
    if (second == none) {
        next_minute(hand);
        second = first_of(hand, OX__CRON_SECOND);
    }
    put_clock(hand, hand->wall.tm_hour, hand->wall.tm_min, second);
    return false;
}

/* True when the hand is at a time of the pattern, else it was moved on. */
static bool settle(struct hand *hand)
{
    if (!has(hand->cron->set[OX__CRON_MONTH], hand->wall.tm_mon + 1)) {
        next_month(hand);
        return false;
    }
    if (!fits_day(hand->cron, &hand->wall)) {
        next_day(hand);
        return false;
    }
    return settle_hour(hand) && settle_minute(hand) && settle_second(hand);
}

int ox__cron_next(const struct ox__cron *cron, const struct ox__zone *zone, int64_t after_ms,
    int64_t *next_ms, ox_error *err)
{
    struct hand hand = {
        .cron = cron,
        .zone = zone,
        .skipped_hour = none,
        .repeated_hour = none,
        .checked_day = none,
    };
    if (after_ms < -max_time_ms || after_ms > max_time_ms) {
        return ox__fail(
            err, OX_EINVAL, "the time to start a cron pattern from is out of range");
    }
    int64_t rest_ms = (after_ms % 1000 + 1000) % 1000;
    int64_t from_s = (after_ms - rest_ms) / 1000;
    put(&hand, from_s);
    if (rest_ms > 0) {
        next_second(&hand);
    }
    for (int step = 1; step < max_steps && hand.at_s <= max_time_ms / 1000; step++) {
        if (!settle(&hand)) {
            continue;
        }
        if (rest_ms > 0 || hand.at_s != from_s) {
            *next_ms = hand.at_s * 1000;
            return 0;
        }
        next_second(&hand);
    }
    return ox__fail(err, OX_ENOTFOUND, "the cron pattern never fires again");
}

int ox_cron_next(
    const char *pattern, const char *tz, int64_t after_ms, int64_t *next_ms, ox_error *err)
{
    OX__NEED(pattern, err);
    OX__NEED(next_ms, err);
    struct ox__cron cron;
    struct ox__zone zone;
    int rc = ox__cron_parse(&cron, pattern, err);
    if (rc < 0) {
        return rc;
    }
    rc = ox__zone_init(&zone, tz, err);
    if (rc < 0) {
        return rc;
    }
    rc = ox__cron_next(&cron, &zone, after_ms, next_ms, err);
    ox__zone_done(&zone);
    return rc;
}
