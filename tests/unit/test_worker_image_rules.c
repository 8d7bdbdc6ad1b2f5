/*
 * test_worker_image_rules.c - what the image handler decides without touching an image: what
 * job data may say, which format a file has, how large an output becomes.
 */
#include "../support/check.h"

#include <string.h>

#include "../support/files.h"
#include "worker/handlers/image_fields.h"
#include "worker/handlers/image_parts.h"

static const struct image_options options = { .background = { 255, 255, 255, 255 } };

/* ---- Job data ---------------------------------------------------------------------------- */

static void read_well(struct image_request *request, const char *data)
{
    g_autoptr(GString) why = g_string_new(NULL);
    *request = (struct image_request){ 0 };
    if (image_request_read(request, &options, data, strlen(data), why) != HANDLER_DONE)
        test_fatal("%s: %s", data, why->str);
}

static void short_data_means_the_defaults(void **state)
{
    (void)state;
    struct image_request request;
    read_well(&request, "{\"input\":\"a.jpg\",\"outputs\":[{\"file\":\"b.webp\"}]}");
    const struct image_output *output = request.outputs;
    assert_string_equal(request.input, "a.jpg");
    assert_int_equal(request.count, 1);
    assert_string_equal(output->file, "b.webp");
    assert_string_equal(output->format->name, "webp");
    assert_int_equal(output->width, 0);
    assert_int_equal(output->height, 0);
    assert_int_equal(output->fit, FIT_COVER);
    assert_int_equal(output->enlarge, 0);
    assert_int_equal(output->quality, 80);
    assert_int_equal(output->lossless, 0);
    assert_int_equal(output->effort, 4);
    assert_int_equal(output->background[0], 255);
    assert_int_equal(output->background[3], 255);
    assert_int_equal(output->crop.width, 0);
    assert_int_equal(output->position.kind, POSITION_COMPASS);
    assert_true(output->position.x == 0.5 && output->position.y == 0.5);
    assert_true(output->sharpen == 0 && output->target == 0);
    assert_int_equal(output->chroma, CHROMA_AUTO);
    assert_int_equal(output->progressive, 0);
    assert_int_equal(output->max_bytes, 0);
    assert_int_equal(output->placeholder, 0);
    assert_int_equal(output->never_larger, 1);
    assert_false(output->particular);
    assert_int_equal(request.page, -1);
    assert_int_equal(request.animated, 0);
    assert_int_equal(request.fail_on, VIPS_FAIL_ON_ERROR);
    assert_int_equal(request.keep, KEEP_RIGHTS);
    assert_int_equal(request.info, 0);
    image_request_clear(&request);
}

/* A bound queue's job has the event as its data. */
static void an_event_has_the_request_in_its_data(void **state)
{
    static const char *const events[] = {
        "{\"specversion\":\"1.0\",\"type\":\"a\",\"data\":{\"input\":\"a.jpg\"}}",
        "{\"specversion\":\"1.0\",\"data\":{\"id\":17,\"image\":{\"input\":\"a.jpg\"}}}",
    };
    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(events); i++) {
        struct image_request request = { 0 };
        read_well(&request, events[i]);
        assert_string_equal(request.input, "a.jpg");
        image_request_clear(&request);
    }
}

static void every_field_arrives(void **state)
{
    (void)state;
    struct image_request request;
    read_well(&request,
        "{\"input\":\"up/a.jpg\",\"outputs\":[{\"file\":\"x\",\"width\":800,\"height\":600.0,"
        "\"fit\":\"contain\",\"enlarge\":true,\"format\":\"avif\",\"quality\":33,"
        "\"effort\":2,\"background\":\"#0A80ff40\",\"lossless\":false,\"chroma\":\"4:4:4\","
        "\"crop\":{\"left\":1,\"top\":2,\"width\":3,\"height\":4},\"sharpen\":0.5,"
        "\"position\":\"southeast\"},"
        "{\"file\":\"y.webp\",\"lossless\":true,\"width\":null,\"quality\":null}]}");
    const struct image_output *x = &request.outputs[0], *y = &request.outputs[1];
    assert_int_equal(request.count, 2);
    assert_int_equal(x->width, 800);
    assert_int_equal(x->height, 600);
    assert_int_equal(x->fit, FIT_CONTAIN);
    assert_int_equal(x->enlarge, 1);
    assert_string_equal(x->format->name, "avif");
    assert_int_equal(x->quality, 33);
    assert_int_equal(x->effort, 2);
    assert_int_equal(x->background[0], 0x0a);
    assert_int_equal(x->background[1], 0x80);
    assert_int_equal(x->background[2], 0xff);
    assert_int_equal(x->background[3], 0x40);
    assert_int_equal(x->lossless, 0);
    assert_int_equal(x->chroma, CHROMA_444);
    assert_int_equal(x->crop.left, 1);
    assert_int_equal(x->crop.top, 2);
    assert_int_equal(x->crop.width, 3);
    assert_int_equal(x->crop.height, 4);
    assert_true(x->sharpen == 0.5);
    assert_true(x->position.x == 1 && x->position.y == 1);
    assert_true(x->particular && y->particular);
    assert_int_equal(y->lossless, 1);
    assert_int_equal(y->quality, 0);
    assert_int_equal(y->width, 0);
    image_request_clear(&request);
}

#define ONE(fields) "{\"input\":\"a.jpg\",\"outputs\":[{\"file\":\"b.jpg\"," fields "}]}"

static void wrong_data_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *data, *part;
    } rows[] = {
        { "nonsense", "not JSON" },
        { "", "not JSON" },
        { "{\"input\":\"a.jpg\",\"page\":99999999999999999999}",
            "a value that no field takes" },
        { "{\"input\":\"a\\u0000.jpg\"}", "a value that no field takes" },
        { "null", "must be an object with the field input, not null" },
        { "[1]", "must be an object" },
        { "{}", "input is missing" },
        { "{\"input\":7}", "input must be a text, not 7" },
        { "{\"input\":\"\"}", "input \"\" is empty" },
        { "{\"input\":\"../a.jpg\"}", "holds '..'" },
        { "{\"input\":\"/a.jpg\"}", "absolute" },
        { "{\"input\":\"a\\njpg\"}", "input \"a\\njpg\" holds a control character" },
        { "{\"input\":\"a.jpg\",\"quality\":80}",
            "unknown field \"quality\" in the job's data; it belongs in an entry of outputs" },
        { "{\"input\":\"a.jpg\",\"ouputs\":[]}", "did you mean outputs?" },
        { "{\"specversion\":\"1.0\",\"type\":\"a\"}", "unknown field \"specversion\"" },
        { "{\"specversion\":\"1.0\",\"data\":{\"image\":7}}", "must be an object" },
        { "{\"input\":\"a.jpg\",\"page\":-1}", "page must be a whole number from 0 to 100000" },
        { "{\"input\":\"a.jpg\",\"page\":1,\"animated\":true}",
            "page and animated exclude each other" },
        { "{\"input\":\"a.jpg\",\"fail_on\":\"never\"}",
            "fail_on must be none, truncated, error or warning, not \"never\"" },
        { "{\"input\":\"a.jpg\",\"keep\":\"gps\"}", "keep must be none, rights or all" },
        { "{\"input\":\"a.jpg\",\"info\":true,\"outputs\":[{\"file\":\"b.jpg\"}]}",
            "info and outputs exclude each other" },
        { "{\"input\":\"a.jpg\",\"outputs\":{}}", "outputs must be a list" },
        { "{\"input\":\"a.jpg\",\"outputs\":[]}", "outputs is an empty list" },
        { "{\"input\":\"a.jpg\",\"outputs\":[7]}", "outputs[0] must be an object, not 7" },
        { "{\"input\":\"a.jpg\",\"outputs\":[{}]}", "outputs[0].file is missing" },
        { "{\"input\":\"a.jpg\",\"outputs\":[{\"file\":\"../b.jpg\"}]}",
            "outputs[0].file \"../b.jpg\" holds '..'" },
        { "{\"input\":\"a.jpg\",\"outputs\":[{\"file\":\"b.jpg\"},{\"file\":\"\"}]}",
            "outputs[1].file \"\" is empty" },
        { "{\"input\":\"a.jpg\",\"outputs\":[{\"file\":\"b.bmp\"}]}",
            "set format to one of jpeg, png, webp, avif, gif" },
        { "{\"input\":\"a.jpg\",\"outputs\":[{\"file\":\"b\"}]}", "tells no format" },
        { "{\"input\":\"a.jpg\",\"outputs\":[{\"file\":\"b.tiff\"}]}", "tells no format" },
        { "{\"input\":\"a.jpg\",\"outputs\":[{\"file\":\"b.png\",\"quality\":80}]}",
            "outputs[0].quality needs \"lossless\": false: png is lossless unless told" },
        { "{\"input\":\"a.jpg\",\"outputs\":[{\"file\":\"b.gif\",\"quality\":80}]}",
            "outputs[0].quality does not apply to gif, which has no quality" },
        { "{\"input\":\"a.jpg\",\"outputs\":[{\"file\":\"b.gif\",\"lossless\":true}]}",
            "outputs[0].lossless: gif is never lossless" },
        { "{\"input\":\"a.jpg\",\"outputs\":[{\"file\":\"b.webp\",\"effort\":7}]}",
            "outputs[0].effort must be 0 to 6 for webp, not 7" },
        { "{\"input\":\"a.jpg\",\"outputs\":[{\"file\":\"b.gif\",\"effort\":0}]}",
            "outputs[0].effort must be 1 to 10 for gif, not 0" },
        { ONE("\"widht\":800"), "unknown field \"widht\" in outputs[0]; did you mean width?" },
        { ONE("\"colour\":1"),
            "unknown field \"colour\" in outputs[0]; known are file, format, crop" },
        { ONE("\"width\":0"),
            "outputs[0].width must be a whole number from 1 to 16383, not 0" },
        { ONE("\"width\":16384"), "not 16384" },
        { ONE("\"width\":-5"), "not -5" },
        { ONE("\"width\":1.5"), "not 1.5" },
        { ONE("\"width\":1e300"), "outputs[0].width must be a whole number" },
        { ONE("\"width\":\"800\""), "not \"800\"" },
        { ONE("\"height\":[]"), "outputs[0].height must be a whole number" },
        { ONE("\"fit\":\"crop\""), "outputs[0].fit must be cover, contain, fill, inside or" },
        { ONE("\"enlarge\":1"), "outputs[0].enlarge must be true or false, not 1" },
        { ONE("\"format\":\"bmp\""), "outputs[0].format \"bmp\" cannot be written" },
        { ONE("\"format\":\"heic\""), "outputs[0].format \"heic\" cannot be written" },
        { ONE("\"format\":5"), "outputs[0].format must be a text, not 5" },
        { ONE("\"quality\":0"), "outputs[0].quality must be a whole number from 1 to 100" },
        { ONE("\"quality\":101"), "not 101" },
        { ONE("\"lossless\":true"), "outputs[0].lossless: jpeg is never lossless" },
        { ONE("\"effort\":3"), "outputs[0].effort does not apply to jpeg" },
        { ONE("\"crop\":[0,0,5,5]"), "must be an object with left, top, width and height" },
        { ONE("\"crop\":{\"left\":0,\"top\":0,\"width\":5}"),
            "outputs[0].crop.height is missing" },
        { ONE("\"crop\":{\"left\":-1,\"top\":0,\"width\":5,\"height\":5}"),
            "outputs[0].crop.left must be a whole number from 0" },
        { ONE("\"crop\":{\"x\":1}"), "unknown field \"x\" in outputs[0].crop; known are left" },
        { ONE("\"position\":\"north\""), "outputs[0].position needs width and height" },
        { ONE("\"width\":5,\"height\":5,\"fit\":\"fill\",\"position\":\"north\""),
            "outputs[0].position needs width and height, and fit cover or contain" },
        { ONE("\"width\":5,\"height\":5,\"fit\":\"contain\",\"position\":\"entropy\""),
            "outputs[0].position must be centre or a compass point with fit contain" },
        { ONE("\"width\":5,\"height\":5,\"position\":\"nroth\""),
            "outputs[0].position must be centre, a compass point such as northeast" },
        { ONE("\"width\":5,\"height\":5,\"position\":{\"x\":0.5}"),
            "outputs[0].position.y is missing" },
        { ONE("\"width\":5,\"height\":5,\"position\":{\"x\":0.5,\"y\":1.5}"),
            "outputs[0].position.y must be a number from 0 to 1, not 1.5" },
        { ONE("\"sharpen\":0"), "outputs[0].sharpen must be true, false, or a number" },
        { ONE("\"sharpen\":11"), "from 0.01 to 10, not 11" },
        { ONE("\"chroma\":\"4:1:1\""), "outputs[0].chroma must be auto, 4:2:0 or 4:4:4" },
        { ONE("\"format\":\"webp\",\"chroma\":\"4:4:4\""),
            "outputs[0].chroma does not apply to webp, only to jpeg and avif" },
        { ONE("\"format\":\"avif\",\"lossless\":true,\"chroma\":\"4:2:0\""),
            "outputs[0].chroma 4:2:0 and lossless exclude each other" },
        { ONE("\"format\":\"webp\",\"progressive\":true"),
            "outputs[0].progressive does not apply to webp, only to jpeg and png" },
        { ONE("\"max_bytes\":0"), "outputs[0].max_bytes must be a whole number from 1" },
        { ONE("\"target\":1"), "outputs[0].target must be a number from 0.5 to 0.9999, not 1" },
        { ONE("\"format\":\"webp\",\"lossless\":true,\"quality\":5"),
            "outputs[0].quality and lossless exclude each other" },
        { ONE("\"format\":\"webp\",\"lossless\":true,\"max_bytes\":5000"),
            "outputs[0].max_bytes and lossless exclude each other" },
        { ONE("\"format\":\"avif\",\"lossless\":true,\"target\":0.9"),
            "outputs[0].target and lossless exclude each other" },
        { ONE("\"format\":\"png\",\"max_bytes\":5000"),
            "outputs[0].max_bytes needs \"lossless\": false" },
        { ONE("\"format\":\"gif\",\"target\":0.9"), "outputs[0].target does not apply to gif" },
        { ONE("\"placeholder\":\"yes\""), "outputs[0].placeholder must be true or false" },
        { ONE("\"never_larger\":1"), "outputs[0].never_larger must be true or false" },
        { ONE("\"background\":\"white\""), "outputs[0].background must be a colour such as" },
        { ONE("\"background\":\"#12345\""), "not \"#12345\"" },
        { ONE("\"background\":\"#12345g\""), "not \"#12345g\"" },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct image_request request = { 0 };
        g_autoptr(GString) why = g_string_new(NULL);
        enum handler_result result =
            image_request_read(&request, &options, rows[i].data, strlen(rows[i].data), why);
        if (result != HANDLER_FATAL || !strstr(why->str, rows[i].part))
            test_fatal("%s: result %d: %s", rows[i].data, result, why->str);
        image_request_clear(&request);
    }
}

/* A line of a table in docs/image-handler.md that begins with that field. */
static char *line_of(const char *docs, const char *name)
{
    g_autofree char *head = g_strdup_printf("`%s`", name);
    g_auto(GStrv) lines = g_strsplit(docs, "\n", -1);
    for (char **line = lines; *line; line++) {
        g_auto(GStrv) cells = g_strsplit(*line, " | ", 2);
        if (g_str_has_prefix(*line, "| `") && strstr(cells[0], head))
            return g_strdup(*line);
    }
    test_fatal("docs/image-handler.md has no row for %s", name);
    return NULL;
}

static void expect_in_line(const char *line, const char *text)
{
    if (!strstr(line, text))
        test_fatal("docs/image-handler.md: no \"%s\" in: %s", text, line);
}

static void docs_have_the_row(const struct image_field *field, const char *docs)
{
    g_autofree char *line = line_of(docs, field->name);
    bool bounded = field->max > field->min;
    g_autofree char *range = g_strdup_printf("%.10g to %.10g", field->min, field->max);
    if (field->required)
        expect_in_line(line, "Required");
    if (bounded && field->kind != FIELD_FLAG && strcmp(field->name, "effort") != 0)
        expect_in_line(line, range);
    if (field->kind == FIELD_FLAG)
        expect_in_line(line, "`true`, `false` |");
    for (size_t i = 0; field->words && field->words[i]; i++) {
        g_autofree char *word = g_strdup_printf("`%s`", field->words[i]);
        expect_in_line(line, word);
    }
    if (field->kind == FIELD_CHOICE || (field->kind == FIELD_FLAG && field->fallback >= 0)) {
        static const char *const flags[] = { "false", "true" };
        const char *const *words = field->words ? field->words : flags;
        g_autofree char *fallback = g_strdup_printf("| `%s`", words[(int)field->fallback]);
        expect_in_line(line, fallback);
    }
}

/* Every field stands in the reference, with its bounds, words and default. */
static void the_reference_has_the_fields(void **state)
{
    (void)state;
    g_autofree char *docs = test_read("docs/image-handler.md", NULL);
    assert_non_null(docs);
    for (const struct image_field *f = image_job_fields; f->name; f++)
        docs_have_the_row(f, docs);
    for (const struct image_field *f = image_output_fields; f->name; f++)
        docs_have_the_row(f, docs);
}

/* Text that was cut inside an emoji is read as Node writes it out; whole ones stay. */
static void half_pairs_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *data, *input;
    } cases[] = {
        { "{\"input\": \"a\\ud83d.jpg\"}", "a\xef\xbf\xbd.jpg" },
        { "{\"input\": \"a\\ude00\\ud83d\"}", "a\xef\xbf\xbd\xef\xbf\xbd" },
        { "{\"input\": \"a\\uD83D\\uDE00.jpg\"}", "a\xf0\x9f\x98\x80.jpg" },
        { "{\"input\": \"a\\\\ud83d.jpg\"}", "a\\ud83d.jpg" },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct image_request request = { 0 };
        read_well(&request, cases[i].data);
        assert_string_equal(request.input, cases[i].input);
        image_request_clear(&request);
    }
}

static void reasons_stay_short_and_whole(void **state)
{
    (void)state;
    struct image_request request = { 0 };
    g_autoptr(GString) why = g_string_new(NULL);
    g_autoptr(GString) data = g_string_new("{\"input\":\"a.jpg\",\"");
    for (int i = 0; i < 1000; i++)
        g_string_append(data, "\xc3\xbc");
    g_string_append(data, "\":1}");
    assert_int_equal(
        image_request_read(&request, &options, data->str, data->len, why), HANDLER_FATAL);
    assert_true(g_utf8_validate(why->str, -1, NULL));
    assert_true(why->len < 250);
    image_request_clear(&request);
}

static void too_many_outputs_are_refused(void **state)
{
    (void)state;
    for (int count = 32; count <= 33; count++) {
        struct image_request request = { 0 };
        g_autoptr(GString) why = g_string_new(NULL);
        g_autoptr(GString) data = g_string_new("{\"input\":\"a.jpg\",\"outputs\":[");
        for (int i = 0; i < count; i++)
            g_string_append_printf(data, "%s{\"file\":\"%d.jpg\"}", i ? "," : "", i);
        g_string_append(data, "]}");
        assert_int_equal(image_request_read(&request, &options, data->str, data->len, why),
            count > 32 ? HANDLER_FATAL : HANDLER_DONE);
        image_request_clear(&request);
    }
}

static void outputs_left_out_make_one_beside_the_input(void **state)
{
    (void)state;
    static const struct {
        const char *input, *format, *file, *becomes;
    } rows[] = {
        { "up/car-42.jpg", "jpeg", "up/car-42.min.jpg", "jpeg" },
        { "car-42.JPEG", "jpeg", "car-42.min.JPEG", "jpeg" },
        { "up.d/car", "png", "up.d/car.min.png", "png" },
        { "a.b.webp", "webp", "a.b.min.webp", "webp" },
        { "really-png.jpg", "png", "really-png.min.png", "png" },
        { "x/.hidden", "gif", "x/.hidden.min.gif", "gif" },
        { "scan.tif", "tiff", "scan.min.jpg", "jpeg" },
        { "phone.heic", "heic", "phone.min.jpg", "jpeg" },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct image_request request = { .input = g_strdup(rows[i].input) };
        image_request_default(&request, &options, image_format_by_name(rows[i].format));
        assert_int_equal(request.count, 1);
        assert_string_equal(request.outputs->file, rows[i].file);
        assert_string_equal(request.outputs->format->name, rows[i].becomes);
        image_request_clear(&request);
    }
}

/* ---- Formats ----------------------------------------------------------------------------- */

static const char *sniff(const char *bytes, size_t len)
{
    const struct image_format *format =
        image_format_by_content((const unsigned char *)bytes, len);
    return format ? format->name : "none";
}

static void content_tells_the_format(void **state)
{
    (void)state;
    assert_string_equal(sniff("\xff\xd8\xff\xe0"
                              "123456789012",
                            16),
        "jpeg");
    assert_string_equal(sniff("\x89PNG\r\n\x1a\n12345678", 16), "png");
    assert_string_equal(sniff("RIFF1234WEBPVP8 ", 16), "webp");
    assert_string_equal(sniff("RIFF1234WAVEfmt ", 16), "none");
    assert_string_equal(sniff("GIF89a1234567890", 16), "gif");
    assert_string_equal(sniff("GIF89", 5), "none");
    assert_string_equal(sniff("II*\0"
                              "123456789012",
                            16),
        "tiff");
    assert_string_equal(sniff("MM\0*"
                              "123456789012",
                            16),
        "tiff");
    assert_string_equal(sniff("\0\0\0\x20"
                              "ftypavif1234",
                            16),
        "avif");
    assert_string_equal(sniff("\0\0\0\x20"
                              "ftypheic1234",
                            16),
        "heic");
    assert_string_equal(sniff("\0\0\0\x20"
                              "ftypmp421234",
                            16),
        "none");
    assert_string_equal(sniff("%PDF-1.7 1234567", 16), "none");
    assert_string_equal(sniff("<svg xmlns='http", 16), "none");
    assert_string_equal(sniff("BM", 2), "none");
    assert_string_equal(sniff("", 0), "none");
    assert_string_equal(sniff("\xff\xd8", 2), "none");
}

static void endings_tell_the_format(void **state)
{
    (void)state;
    static const char *const rows[][2] = { { "a.jpg", "jpeg" }, { "a.JPEG", "jpeg" },
        { "b.x/a.png", "png" }, { "a.tar.webp", "webp" }, { "a.avif", "avif" },
        { "a.gif", "gif" }, { "a.tif", "tiff" }, { "a.heic", "heic" } };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        assert_string_equal(image_format_by_ending(rows[i][0])->name, rows[i][1]);
    assert_null(image_format_by_ending("a.svg"));
    assert_null(image_format_by_ending("jpg"));
    assert_null(image_format_by_ending("a."));
    assert_string_equal(image_format_by_name("jpg")->name, "jpeg");
    assert_null(image_format_by_name("JPEG2000"));
}

/* ---- Sizes ------------------------------------------------------------------------------- */

struct size_row {
    int in_w, in_h, w, h, fit, enlarge;
    int scaled_w, scaled_h, out_w, out_h;
};

/* Each row is what sharp 0.35 makes of it (withoutEnlargement is the reverse of enlarge). */
static const struct size_row sizes[] = {
    /* nothing asked: as it is */
    { 4000, 3000, 0, 0, FIT_COVER, 0, 4000, 3000, 4000, 3000 },
    /* one side: the other follows */
    { 4000, 3000, 1600, 0, FIT_COVER, 0, 1600, 1200, 1600, 1200 },
    { 4000, 3000, 0, 600, FIT_INSIDE, 0, 800, 600, 800, 600 },
    { 301, 407, 100, 0, FIT_COVER, 0, 100, 135, 100, 135 },
    { 400, 300, 0, 77, FIT_COVER, 0, 103, 77, 103, 77 },
    { 1000, 7, 100, 0, FIT_COVER, 0, 100, 1, 100, 1 },
    /* cover cuts */
    { 4000, 3000, 320, 240, FIT_COVER, 0, 320, 240, 320, 240 },
    { 4000, 3000, 500, 200, FIT_COVER, 0, 500, 375, 500, 200 },
    { 301, 407, 160, 120, FIT_COVER, 0, 160, 216, 160, 120 },
    /* contain fills up with background */
    { 4000, 3000, 500, 200, FIT_CONTAIN, 0, 267, 200, 500, 200 },
    { 37, 41, 100, 0, FIT_CONTAIN, 0, 37, 41, 100, 41 },
    /* fill distorts; a side not given stays */
    { 400, 300, 333, 101, FIT_FILL, 0, 333, 101, 333, 101 },
    { 400, 300, 100, 0, FIT_FILL, 0, 100, 300, 100, 300 },
    { 400, 300, 0, 77, FIT_FILL, 0, 400, 77, 400, 77 },
    /* inside and outside keep the shape */
    { 4000, 3000, 333, 101, FIT_INSIDE, 0, 135, 101, 135, 101 },
    { 4000, 3000, 333, 101, FIT_OUTSIDE, 0, 333, 250, 333, 250 },
    { 643, 481, 640, 480, FIT_INSIDE, 0, 640, 479, 640, 479 },
    { 643, 481, 640, 480, FIT_OUTSIDE, 0, 642, 480, 642, 480 },
    /* never larger than the input.. */
    { 400, 300, 640, 480, FIT_COVER, 0, 400, 300, 400, 300 },
    { 400, 300, 500, 200, FIT_COVER, 0, 400, 300, 400, 200 },
    { 400, 300, 640, 480, FIT_CONTAIN, 0, 400, 300, 640, 480 },
    { 400, 300, 640, 480, FIT_FILL, 0, 400, 300, 400, 300 },
    { 400, 300, 500, 200, FIT_FILL, 0, 400, 200, 400, 200 },
    { 400, 300, 640, 480, FIT_INSIDE, 0, 400, 300, 400, 300 },
    { 400, 300, 640, 480, FIT_OUTSIDE, 0, 400, 300, 400, 300 },
    /* ..unless asked */
    { 400, 300, 640, 480, FIT_COVER, 1, 640, 480, 640, 480 },
    { 301, 407, 640, 480, FIT_INSIDE, 1, 355, 480, 355, 480 },
    { 301, 407, 640, 480, FIT_OUTSIDE, 1, 640, 865, 640, 865 },
    { 37, 41, 640, 480, FIT_CONTAIN, 1, 433, 480, 640, 480 },
    { 400, 300, 500, 200, FIT_FILL, 1, 500, 200, 500, 200 },
    { 37, 41, 0, 77, FIT_COVER, 1, 69, 77, 69, 77 },
};

static void sizes_are_those_of_sharp(void **state)
{
    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        const struct size_row *row = &sizes[i];
        struct image_output output = {
            .width = row->w, .height = row->h, .fit = row->fit, .enlarge = row->enlarge
        };
        struct image_plan plan = image_fit(row->in_w, row->in_h, &output);
        if (plan.scaled_width != row->scaled_w || plan.scaled_height != row->scaled_h ||
            plan.width != row->out_w || plan.height != row->out_h)
            test_fatal("row %zu: scaled %d x %d, output %d x %d", i, plan.scaled_width,
                plan.scaled_height, plan.width, plan.height);
    }
}

/* From 4000 x 3000 to 500 x 200. Rows without note are what sharp 0.35 makes of it. */
static void windows_and_canvases_lie_where_position_says(void **state)
{
    (void)state;
    static const struct {
        int fit;
        struct image_position position;
        int left, top;
    } rows[] = {
        /* cover: 500 x 375 is scaled, 175 rows are over */
        { FIT_COVER, { POSITION_COMPASS, 0.5, 0.5, true }, 0, 88 }, /* (375 - 200 + 1) / 2 */
        { FIT_COVER, { POSITION_COMPASS, 0.5, 0, true }, 0, 0 },
        { FIT_COVER, { POSITION_COMPASS, 0, 1, true }, 0, 175 },
        { FIT_COVER, { POSITION_COMPASS, 1, 0.5, true }, 0, 88 },
        /* a focal point: the window's middle, as far as the edges allow */
        { FIT_COVER, { POSITION_FOCAL, 0.5, 0, true }, 0, 0 },
        { FIT_COVER, { POSITION_FOCAL, 0, 0.4, true }, 0, 50 },
        { FIT_COVER, { POSITION_FOCAL, 0.9, 1, true }, 0, 175 },
        /* contain: 267 x 200, 233 columns are left */
        { FIT_CONTAIN, { POSITION_COMPASS, 0.5, 0.5, true }, 116, 0 }, /* (500 - 267) / 2 */
        { FIT_CONTAIN, { POSITION_COMPASS, 0, 0.5, true }, 0, 0 },
        { FIT_CONTAIN, { POSITION_COMPASS, 1, 1, true }, 233, 0 },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct image_output output = {
            .width = 500, .height = 200, .fit = rows[i].fit, .position = rows[i].position
        };
        struct image_plan plan = image_fit(4000, 3000, &output);
        assert_int_equal(plan.search, 0);
        if (plan.left != rows[i].left || plan.top != rows[i].top)
            test_fatal("row %zu: at %d, %d", i, plan.left, plan.top);
    }
}

/* Sizes are those of the part, as if it were the whole input. */
static void a_crop_is_planned_like_an_input(void **state)
{
    (void)state;
    struct image_output output = { .width = 500, .crop = { 100, 50, 1000, 400 } };
    struct image_plan plan = image_fit(4000, 3000, &output);
    assert_int_equal(plan.scaled_width, 500);
    assert_int_equal(plan.scaled_height, 200);
    assert_int_equal(plan.view.left, 100);
    assert_int_equal(plan.view.height, 400);
    assert_false(image_plan_shows_all(&plan, 4000, 3000));
    output.width = 2000; /* not enlarged */
    plan = image_fit(4000, 3000, &output);
    assert_int_equal(plan.width, 1000);
    output.crop.width = 0;
    plan = image_fit(4000, 3000, &output);
    assert_int_equal(plan.width, 2000);
    assert_true(image_plan_shows_all(&plan, 4000, 3000));
}

static void extreme_shapes_stay_in_bounds(void **state)
{
    (void)state;
    struct image_output output = {
        .width = 16383, .height = 1, .fit = FIT_OUTSIDE, .enlarge = 1
    };
    struct image_plan plan = image_fit(1, 50000000, &output);
    assert_int_equal(plan.scaled_width, 16383);
    assert_int_equal(plan.scaled_height, IMAGE_MAX_SIDE);
    output.fit = FIT_INSIDE;
    plan = image_fit(1, 50000000, &output);
    assert_int_equal(plan.scaled_width, 1);
    assert_int_equal(plan.scaled_height, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_data_means_the_defaults),
        cmocka_unit_test(an_event_has_the_request_in_its_data),
        cmocka_unit_test(every_field_arrives),
        cmocka_unit_test(wrong_data_is_named),
        cmocka_unit_test(the_reference_has_the_fields),
        cmocka_unit_test(half_pairs_are_read),
        cmocka_unit_test(reasons_stay_short_and_whole),
        cmocka_unit_test(too_many_outputs_are_refused),
        cmocka_unit_test(outputs_left_out_make_one_beside_the_input),
        cmocka_unit_test(content_tells_the_format),
        cmocka_unit_test(endings_tell_the_format),
        cmocka_unit_test(sizes_are_those_of_sharp),
        cmocka_unit_test(windows_and_canvases_lie_where_position_says),
        cmocka_unit_test(a_crop_is_planned_like_an_input),
        cmocka_unit_test(extreme_shapes_stay_in_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
