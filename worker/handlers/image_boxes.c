/*
 * image_boxes.c - what a HEIF container (HEIC, AVIF) and a PNG say of themselves that libheif
 * and libpng do not tell: motion, and transparency that gets lost.
 *
 * A HEIF file is a tree of boxes, each with its length and kind; "meta" lists the pictures
 * (items), their properties and how they belong together, "moov" the tracks of a sequence.
 * What cannot be understood counts as not there: judging is left to libheif.
 */
#include "handlers/image_parts.h"
#include "handlers/image_span.h"

#include <string.h>
#include <unistd.h>

enum {
    MAX_PROPERTIES = 1024, /* of a file; of which an item has up to 255 */
    MAX_ALPHAS = 64        /* pictures that are looked at because they are transparency */
};

/* ---- Motion ------------------------------------------------------------------------------ */

/* Samples of a track of pictures; 0 for other tracks, of sound or transparency. */
static guint32 track_frames(struct span track)
{
    struct span media = find_box(track, KIND('m', 'd', 'i', 'a'));
    struct span handler = find_box(media, KIND('h', 'd', 'l', 'r'));
    skip(&handler, 8);
    guint32 kind = (guint32)take(&handler, 4);
    if (kind != KIND('p', 'i', 'c', 't') && kind != KIND('v', 'i', 'd', 'e')) {
        return 0;
    }
    struct span table = find_box(find_box(media, KIND('m', 'i', 'n', 'f')), //
        KIND('s', 't', 'b', 'l'));
    struct span sizes = find_box(table, KIND('s', 't', 's', 'z'));
    skip(&sizes, 8);
    return (guint32)take(&sizes, 4);
}

static int sequence_frames(int fd, gint64 file_bytes)
{
    struct span movie, track;
    g_autofree guint8 *data = read_top(fd, file_bytes, KIND('m', 'o', 'o', 'v'), &movie);
    guint32 frames = 0, kind;
    for (int i = 0; data != NULL && i < MAX_BOXES && (kind = next_box(&movie, &track)) != 0;
         i++) {
        if (kind == KIND('t', 'r', 'a', 'k')) {
            frames = MAX(frames, track_frames(track));
        }
    }
    return (int)MIN(frames, G_MAXINT);
}

/* Frames of an animated PNG, whose acTL comes before its pixels. */
static int png_frames(int fd)
{
    gint64 at = 8;
    for (int i = 0; i < MAX_BOXES; i++) {
        guint8 head[12];
        if (pread(fd, head, sizeof head, at) != sizeof head) {
            return 0;
        }
        struct span span = { head, sizeof head };
        guint32 bytes = (guint32)take(&span, 4), kind = (guint32)take(&span, 4);
        if (kind == KIND('a', 'c', 'T', 'L')) {
            guint64 frames = take(&span, 4);
            return (int)MIN(frames, G_MAXINT);
        }
        if (kind == KIND('I', 'D', 'A', 'T') || bytes > G_MAXINT) {
            return 0;
        }
        at += 12 + (gint64)bytes;
    }
    return 0;
}

int image_hidden_frames(const struct image_input *input)
{
    switch (input->format->hides_frames) {
    case FRAMES_IN_CHUNK:
        return png_frames(input->fd);
    case FRAMES_IN_TRACK:
        return sequence_frames(input->fd, input->bytes);
    default:
        return 0;
    }
}

/* ---- Transparency ------------------------------------------------------------------------ */

/* Properties of an item that matter here. */
struct item_traits {
    guint32 turns; /* hash of what turns or cuts it */
    bool alpha;    /* it is the transparency of another */
};

static bool names_alpha(struct span aux)
{
    static const char *const names[] = { "urn:mpeg:mpegB:cicp:systems:auxiliary:alpha",
        "urn:mpeg:hevc:2015:auxid:1", "urn:mpeg:avc:2015:auxid:1" };
    skip(&aux, 4);
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        size_t len = strlen(names[i]) + 1;
        if (aux.left >= len && memcmp(aux.at, names[i], len) == 0) {
            return true;
        }
    }
    return false;
}

static void add_property(struct span properties, guint32 index, struct item_traits *traits)
{
    struct span inside;
    guint32 kind = 0;
    if (index > MAX_PROPERTIES) {
        return;
    }
    for (guint32 i = 0; i < index && (kind = next_box(&properties, &inside)) != 0; i++) {
    }
    if (kind == KIND('a', 'u', 'x', 'C')) {
        traits->alpha = traits->alpha || names_alpha(inside);
    } else if (kind == KIND('i', 'r', 'o', 't') || kind == KIND('i', 'm', 'i', 'r') ||
               kind == KIND('c', 'l', 'a', 'p')) {
        traits->turns = traits->turns * 31 + kind;
        for (size_t i = 0; i < inside.left; i++) {
            traits->turns = traits->turns * 31 + inside.at[i];
        }
    }
}

/* "ipma" lists the properties of each item by their places in "ipco". */
static struct item_traits traits_of(struct span meta, guint32 item)
{
    struct item_traits traits = { 0, false };
    struct span list = find_box(meta, KIND('i', 'p', 'r', 'p'));
    struct span properties = find_box(list, KIND('i', 'p', 'c', 'o'));
    struct span table = find_box(list, KIND('i', 'p', 'm', 'a'));
    guint32 head = (guint32)take(&table, 4);
    guint64 items = take(&table, 4);
    bool same = false;
    for (guint64 i = 0; !same && i < items && i < MAX_BOXES && table.left > 0; i++) {
        same = take(&table, head >> 24 ? 4 : 2) == item;
        guint64 count = take(&table, 1);
        for (guint64 j = 0; j < count; j++) {
            guint64 index = head & 1 ? take(&table, 2) & 0x7fff : take(&table, 1) & 0x7f;
            if (same) {
                add_property(properties, (guint32)index, &traits);
            }
        }
    }
    return traits;
}

/* Is the one item among the tiles of the other? */
static bool is_part_of(struct span meta, guint32 part, guint32 whole)
{
    struct span refs = find_box(meta, KIND('i', 'r', 'e', 'f')), ref;
    size_t id = take(&refs, 4) >> 24 ? 4 : 2;
    guint32 kind;
    for (int i = 0; i < MAX_BOXES && (kind = next_box(&refs, &ref)) != 0; i++) {
        if (kind != KIND('d', 'i', 'm', 'g') || take(&ref, id) != whole) {
            continue;
        }
        for (guint64 n = take(&ref, 2); n > 0 && ref.left > 0; n--) {
            if (take(&ref, id) == part) {
                return true;
            }
        }
    }
    return false;
}

/* The picture whose transparency it is is the primary one, or a tile of it. */
static bool belongs(struct span meta, guint32 item, guint32 primary)
{
    return item == primary || is_part_of(meta, item, primary);
}

static guint32 primary_item(struct span meta)
{
    struct span box = find_box(meta, KIND('p', 'i', 't', 'm'));
    return (guint32)(take(&box, 4) >> 24 ? take(&box, 4) : take(&box, 2));
}

/* What is found of the transparency of the primary picture. */
struct alpha {
    bool there;
    bool askew;    /* it is turned or cut otherwise than the picture */
    bool weighted; /* the colours are multiplied with it */
    int looked_at;
};

/* `from` is an auxiliary picture of `to`. */
static void look_at(struct span meta, guint32 from, guint32 to, struct alpha *alpha)
{
    if (++alpha->looked_at > MAX_ALPHAS) {
        return;
    }
    struct item_traits traits = traits_of(meta, from);
    if (traits.alpha && belongs(meta, to, primary_item(meta))) {
        alpha->there = true;
        alpha->askew = alpha->askew || traits.turns != traits_of(meta, to).turns;
    }
}

static struct alpha find_alpha(struct span meta)
{
    struct alpha alpha = { 0 };
    guint32 primary = primary_item(meta), kind;
    struct span refs = find_box(meta, KIND('i', 'r', 'e', 'f')), ref;
    size_t id = take(&refs, 4) >> 24 ? 4 : 2;
    for (int i = 0; i < MAX_BOXES && (kind = next_box(&refs, &ref)) != 0; i++) {
        guint32 from = (guint32)take(&ref, id);
        guint64 count = take(&ref, 2);
        if (kind == KIND('p', 'r', 'e', 'm') && from == primary) {
            alpha.weighted = true;
        } else if (kind == KIND('a', 'u', 'x', 'l') && count == 1) {
            look_at(meta, from, (guint32)take(&ref, id), &alpha);
        }
    }
    return alpha;
}

enum handler_result image_alpha_check(struct image_input *input, GString *why)
{
    struct span meta;
    int primary;
    if (input->format->hides_frames != FRAMES_IN_TRACK ||
        vips_image_get_int(input->header, "heif-primary", &primary) || input->page != primary) {
        return HANDLER_DONE;
    }
    g_autofree guint8 *data =
        read_top(input->fd, input->bytes, KIND('m', 'e', 't', 'a'), &meta);
    if (data == NULL) {
        return HANDLER_DONE;
    }
    skip(&meta, 4);
    struct alpha alpha = find_alpha(meta);
    if (alpha.there && (alpha.askew || !vips_image_hasalpha(input->header))) {
        return image_refuse(why, HANDLER_FATAL,
            "input \"%s\" would lose its transparency, which libheif cannot read: it is "
            "turned, "
            "cut or sized otherwise than the picture; save it anew, or as PNG or WebP",
            input->file);
    }
    input->weighted = alpha.there && alpha.weighted;
    return HANDLER_DONE;
}
