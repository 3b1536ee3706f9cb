/* GStreamer as a recorder of calls, fed from memory at real-time pace: gst_recorder FOLDER RATE CALLS SECONDS AUDIO

   For each call: two appsrc (mu-law, 8 kHz) ! mulawdec ! audioresample to RATE, interleaved, wavenc, filesink. Nothing
   is received: no socket, no WebSocket, no JSON, no base64. Buffers point into the mapped file AUDIO (all that each call's
   two parties say), so feeding copies nothing; it is paced as tools/load.py does it, a party each 10 ms. Prints "ready" when GStreamer is warm, waits for a line on stdin, prints "talking", and at the end as JSON how
   many buffers were pushed and the p99 of its own lag.

   Written in C so that GStreamer is not charged for a binding. */
#include <errno.h>
#include <fcntl.h>
#include <gst/app/gstappsrc.h>
#include <gst/gst.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

enum { CHUNK = 160, GROUPS = 10, PARTIES = 2, SLOT_NS = 20000000 };

typedef struct {
  GstElement *pipeline;
  GstAppSrc *source[PARTIES];
} Call;

static void die(const char *what) {
  fprintf(stderr, "%s\n", what);
  exit(1);
}

static Call call_new(const char *path, int rate) {
  gchar *text = g_strdup_printf(
      "interleave name=both ! wavenc ! filesink location=\"%s\" "
      "appsrc name=left format=time caps=audio/x-mulaw,rate=8000,channels=1 ! mulawdec ! audioresample ! "
      "audio/x-raw,rate=%d ! both. "
      "appsrc name=right format=time caps=audio/x-mulaw,rate=8000,channels=1 ! mulawdec ! audioresample ! "
      "audio/x-raw,rate=%d ! both.",
      path, rate, rate);
  GError *error = NULL;
  Call call = {gst_parse_launch(text, &error), {NULL, NULL}};
  if (error) die(error->message);
  g_free(text);
  call.source[0] = GST_APP_SRC(gst_bin_get_by_name(GST_BIN(call.pipeline), "left"));
  call.source[1] = GST_APP_SRC(gst_bin_get_by_name(GST_BIN(call.pipeline), "right"));
  gst_element_set_state(call.pipeline, GST_STATE_PLAYING);
  return call;
}

static void call_push(Call *call, int party, long slot, const guint8 *audio) {
  GstBuffer *buffer = gst_buffer_new_wrapped_full(GST_MEMORY_FLAG_READONLY, (gpointer)(audio + slot * CHUNK),
                                                  CHUNK, 0, CHUNK, NULL, NULL);
  GST_BUFFER_PTS(buffer) = slot * (GstClockTime)SLOT_NS;
  GST_BUFFER_DURATION(buffer) = SLOT_NS;
  if (gst_app_src_push_buffer(call->source[party], buffer) != GST_FLOW_OK) die("a buffer was refused");
}

static void call_end(Call *call) {
  for (int party = 0; party < PARTIES; party++) gst_app_src_end_of_stream(call->source[party]);
}

static void call_free(Call *call) {
  GstBus *bus = gst_element_get_bus(call->pipeline);
  GstMessage *message = gst_bus_timed_pop_filtered(bus, 20 * GST_SECOND, GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
  if (!message || GST_MESSAGE_TYPE(message) != GST_MESSAGE_EOS) die("a pipeline did not reach its end");
  gst_message_unref(message);
  gst_object_unref(bus);
  gst_element_set_state(call->pipeline, GST_STATE_NULL);
  for (int party = 0; party < PARTIES; party++) gst_object_unref(call->source[party]);
  gst_object_unref(call->pipeline);
}

static gint64 now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * (gint64)1000000000 + time.tv_nsec;
}

static int by_size(const void *a, const void *b) {
  gint64 x = *(const gint64 *)a, y = *(const gint64 *)b;
  return (x > y) - (x < y);
}

int main(int count, char **words) {
  if (count != 6) die("usage: gst_recorder FOLDER RATE CALLS SECONDS AUDIO");
  gst_init(NULL, NULL);
  const char *folder = words[1];
  int rate = atoi(words[2]), calls = atoi(words[3]);
  long slots = (long)(atof(words[4]) * 50 + 0.5);
  size_t size = (size_t)calls * PARTIES * slots * CHUNK;
  int file = open(words[5], O_RDONLY);
  const guint8 *audio = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, file, 0);
  if (file < 0 || audio == MAP_FAILED) die("the audio cannot be read");

  Call warm = call_new("/dev/null", rate); /* loads the plugins and fills the caches */
  for (long slot = 0; slot < 50 && slot < slots; slot++)
    for (int party = 0; party < PARTIES; party++) call_push(&warm, party, slot, audio + (size_t)party * slots * CHUNK);
  call_end(&warm);
  call_free(&warm);
  fprintf(stderr, "ready\n");
  if (getchar() == EOF) die("nobody said go");

  Call *all = g_new0(Call, calls);
  for (int n = 0; n < calls; n++) {
    gchar *path = g_strdup_printf("%s/load-%06d.wav", folder, n);
    all[n] = call_new(path, rate);
    g_free(path);
  }
  long ticks = slots * GROUPS + GROUPS / 2, pushed = 0;
  gint64 *lags = g_new0(gint64, ticks), begin = now_ns() + SLOT_NS;
  fprintf(stderr, "talking\n");
  for (long tick = 0; tick < ticks; tick++) {
    gint64 due = begin + tick * (SLOT_NS / GROUPS);
    struct timespec wake = {due / 1000000000, due % 1000000000};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &wake, NULL) == EINTR) continue;
    lags[tick] = now_ns() - due;
    for (int party = 0; party < PARTIES; party++) {
      long turn = tick - party * (GROUPS / 2), slot = turn / GROUPS;
      if (turn < 0 || slot >= slots) continue;
      for (int n = (int)(turn % GROUPS); n < calls; n += GROUPS, pushed++)
        call_push(&all[n], party, slot, audio + ((size_t)n * PARTIES + party) * slots * CHUNK);
    }
  }
  for (int n = 0; n < calls; n++) call_end(&all[n]);
  for (int n = 0; n < calls; n++) call_free(&all[n]);
  qsort(lags, ticks, sizeof *lags, by_size);
  printf("{\"messages\": %ld, \"lag_p99_ms\": %.3f}\n", pushed, lags[ticks * 99 / 100] / 1e6);
  return 0;
}
