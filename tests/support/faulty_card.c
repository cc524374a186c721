/* A sound card for ALSA that fails as it is told: an external plug-in, `pcm.NAME { type faulty ... }`.
 *
 * open_error, set_error, prepare_error, read_error: errno of that step; read_error comes after read_ms.
 * channels: the only count that it gives. s32: nonzero for 32-bit samples alone. silent: nonzero for no sample ever.
 * hang: nonzero for an open that never returns. loud: nonzero for words of ALSA's own at each open.
 */
#define PIC 1
#include <alsa/asoundlib.h>
#include <alsa/pcm_external.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <time.h>

typedef struct {
    snd_pcm_ioplug_t io;
    long open_error, set_error, prepare_error, read_error, read_ms, channels, s32, silent, hang, loud;
    int64_t began_ms;
} card_t;

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* As the kernel's drivers do: a card that is unplugged is disconnected, and other errors last over a new start. */
static int failed(card_t *card)
{
    if (!card->read_error || now_ms() - card->began_ms < card->read_ms)
        return 0;
    card->prepare_error = card->read_error;
    if (card->read_error == ENODEV)
        snd_pcm_ioplug_set_state(&card->io, SND_PCM_STATE_DISCONNECTED);
    return 1;
}

static int card_start(snd_pcm_ioplug_t *io)
{
    ((card_t *)io->private_data)->began_ms = now_ms();
    return 0;
}

static int card_stop(snd_pcm_ioplug_t *io)
{
    (void)io;
    return 0;
}

static snd_pcm_sframes_t card_pointer(snd_pcm_ioplug_t *io)
{
    card_t *card = io->private_data;
    int64_t passed_ms = now_ms() - card->began_ms;
    if (failed(card))
        return card->read_error == ENODEV ? 0 : -card->read_error;
    return card->silent ? 0 : (passed_ms * io->rate / 1000) % io->buffer_size;
}

static snd_pcm_sframes_t card_transfer(snd_pcm_ioplug_t *io, const snd_pcm_channel_area_t *areas,
                                       snd_pcm_uframes_t offset, snd_pcm_uframes_t size)
{
    card_t *card = io->private_data;
    if (failed(card))
        return -card->read_error;
    snd_pcm_areas_silence(areas, offset, io->channels, size, io->format);
    return size;
}

static int card_hw_params(snd_pcm_ioplug_t *io, snd_pcm_hw_params_t *params)
{
    (void)params;
    return -(int)((card_t *)io->private_data)->set_error;
}

static int card_prepare(snd_pcm_ioplug_t *io)
{
    return -(int)((card_t *)io->private_data)->prepare_error;
}

static int card_close(snd_pcm_ioplug_t *io)
{
    close(io->poll_fd);
    free(io->private_data);
    return 0;
}

static const snd_pcm_ioplug_callback_t callbacks = {
    .start = card_start, .stop = card_stop, .pointer = card_pointer, .transfer = card_transfer,
    .hw_params = card_hw_params, .prepare = card_prepare, .close = card_close,
};

static int constrain(card_t *card)
{
    unsigned int access = SND_PCM_ACCESS_RW_INTERLEAVED;
    unsigned int format = card->s32 ? SND_PCM_FORMAT_S32_LE : SND_PCM_FORMAT_S16_LE;
    int error = snd_pcm_ioplug_set_param_list(&card->io, SND_PCM_IOPLUG_HW_ACCESS, 1, &access);
    if (error >= 0)
        error = snd_pcm_ioplug_set_param_list(&card->io, SND_PCM_IOPLUG_HW_FORMAT, 1, &format);
    if (error >= 0)
        error = snd_pcm_ioplug_set_param_minmax(&card->io, SND_PCM_IOPLUG_HW_CHANNELS, card->channels, card->channels);
    if (error >= 0)
        error = snd_pcm_ioplug_set_param_minmax(&card->io, SND_PCM_IOPLUG_HW_RATE, 8000, 96000);
    if (error >= 0)
        error = snd_pcm_ioplug_set_param_minmax(&card->io, SND_PCM_IOPLUG_HW_PERIOD_BYTES, 64, 1 << 16);
    if (error >= 0)
        error = snd_pcm_ioplug_set_param_minmax(&card->io, SND_PCM_IOPLUG_HW_PERIODS, 2, 64);
    return error;
}

SND_PCM_PLUGIN_DEFINE_FUNC(faulty)
{
    card_t *card = calloc(1, sizeof(*card));
    const struct { const char *name; long *value; } settings[] = {
        {"open_error", &card->open_error}, {"set_error", &card->set_error},
        {"prepare_error", &card->prepare_error}, {"read_error", &card->read_error},
        {"read_ms", &card->read_ms}, {"channels", &card->channels}, {"s32", &card->s32}, {"silent", &card->silent},
        {"hang", &card->hang}, {"loud", &card->loud},
    };
    snd_config_iterator_t at, next;
    (void)root;
    card->channels = 2;
    snd_config_for_each(at, next, conf) {
        snd_config_t *entry = snd_config_iterator_entry(at);
        const char *id;
        if (snd_config_get_id(entry, &id) < 0)
            continue;
        for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
            if (strcmp(id, settings[i].name) == 0)
                snd_config_get_integer(entry, settings[i].value);
    }
    if (card->loud)
        SNDERR("a plug-in prints this");
    while (card->hang)
        pause();
    if (card->open_error) {
        int error = (int)card->open_error;
        free(card);
        return -error;
    }
    card->io.version = SND_PCM_IOPLUG_VERSION;
    card->io.name = "a card that fails as it is told";
    card->io.callback = &callbacks;
    card->io.private_data = card;
    card->io.poll_fd = eventfd(card->silent ? 0 : 1, EFD_NONBLOCK);
    card->io.poll_events = POLLIN;
    int error = snd_pcm_ioplug_create(&card->io, name, stream, mode);
    if (error >= 0 && (error = constrain(card)) < 0)
        snd_pcm_ioplug_delete(&card->io);
    *pcmp = card->io.pcm;
    return error;
}

SND_PCM_PLUGIN_SYMBOL(faulty)
