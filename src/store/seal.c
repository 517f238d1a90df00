#include "store/seal.h"

#include <errno.h>
#include <nettle/base16.h>
#include <nettle/base64.h>
#include <nettle/chacha-poly1305.h>
#include <nettle/memops.h>
#include <nettle/sha2.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/random.h"
#include "store/durable.h"

enum {
	NONCE_SIZE = CHACHA_POLY1305_NONCE_SIZE,
	TAG_SIZE = CHACHA_POLY1305_DIGEST_SIZE,
	OVERHEAD = NONCE_SIZE + TAG_SIZE,
	FILE_MAX = 64 * 1024,
	NAMES_MAX = 512, /* of both names that are authenticated */
	LOOK_MS = 10,    /* how long a look at the key file counts */
};

_Static_assert(SEAL_KEY_SIZE == CHACHA_POLY1305_KEY_SIZE, "the key is the cipher's");

static const char prefix[] = "sealed:";

enum { PREFIX_LEN = sizeof(prefix) - 1, HEAD_LEN = PREFIX_LEN + SEAL_ID_SIZE };

struct key {
	unsigned char bytes[SEAL_KEY_SIZE];
	char id[SEAL_ID_SIZE];
};

/* The key file as it was read. */
static struct {
	pthread_mutex_t mutex;
	char *path; /* NULL: none is configured */
	struct stat st;
	bool loaded;
	int64_t looked; /* when it was looked at last, by the monotonic clock in ms */
	struct key keys[SEAL_KEYS_MAX];
	size_t n;
} ring = { .mutex = PTHREAD_MUTEX_INITIALIZER };

static int
fail(int error)
{
	errno = error;
	return (-1);
}

static void
forget(void)
{
	explicit_bzero(ring.keys, sizeof(ring.keys));
	ring.n = 0;
	ring.loaded = false;
}

void
seal_use(const char *path)
{
	pthread_mutex_lock(&ring.mutex);
	if (path == NULL || ring.path == NULL || strcmp(path, ring.path) != 0) {
		free(ring.path);
		/* Without memory nothing goes on: a path that is not there would mean "not sealed". */
		if ((ring.path = path ? strdup(path) : NULL) == NULL && path)
			abort();
		forget();
	}
	pthread_mutex_unlock(&ring.mutex);
}

bool
seal_is_on(void)
{
	bool on;

	pthread_mutex_lock(&ring.mutex);
	on = ring.path != NULL;
	pthread_mutex_unlock(&ring.mutex);
	return (on);
}

void
seal_key_id(char id[SEAL_ID_SIZE], const unsigned char key[SEAL_KEY_SIZE])
{
	static const char purpose[] = "fluidhook seal key id";
	unsigned char digest[SHA256_DIGEST_SIZE];
	struct sha256_ctx sha;

	sha256_init(&sha);
	sha256_update(&sha, sizeof(purpose), (const uint8_t *)purpose);
	sha256_update(&sha, SEAL_KEY_SIZE, key);
	sha256_digest(&sha, sizeof(digest), digest);
	base16_encode_update(id, (SEAL_ID_SIZE - 1) / 2, digest);
	id[SEAL_ID_SIZE - 1] = '\0';
}

/* A line of the file: a key, or (false with *empty) blank or a comment. */
static bool
parse_line(struct key *key, const char *line, size_t len, bool *empty)
{
	struct base16_decode_ctx hex;
	size_t n = sizeof(key->bytes);
	bool good;

	while (len && strchr(" \t\r", line[len - 1]))
		len--;
	for (; len && strchr(" \t", *line); line++)
		len--;
	*empty = len == 0 || *line == '#';
	if (*empty || len != 2 * sizeof(key->bytes))
		return (false);
	base16_decode_init(&hex);
	good = base16_decode_update(&hex, &n, key->bytes, len, line) && n == sizeof(key->bytes) &&
	    base16_decode_final(&hex);
	explicit_bzero(&hex, sizeof(hex));
	if (good)
		seal_key_id(key->id, key->bytes);
	return (good);
}

/* Returns 0, or -1 with errno set and no key. */
static int
load(void)
{
	struct buf text = { 0 };
	const char *line;
	size_t at = 0, len;
	int error = 0;
	bool empty;

	forget();
	if (file_read_secret(ring.path, FILE_MAX, &text, &ring.st))
		error = errno;
	while (error == 0 && (line = file_next_line(&text, &at, &len)) != NULL) {
		struct key key;

		if (!parse_line(&key, line, len, &empty))
			error = empty ? 0 : EBADMSG;
		else if (ring.n == SEAL_KEYS_MAX)
			error = E2BIG;
		else
			ring.keys[ring.n++] = key;
		explicit_bzero(&key, sizeof(key));
	}
	if (error == 0 && ring.n == 0)
		error = ENODATA;
	buf_wipe(&text);
	if (error) {
		forget();
		return (fail(error));
	}
	ring.loaded = true;
	return (0);
}

/* Have the keys of the file as it is now. again: also if it was looked at just now. The mutex is held. */
static int
refresh(bool again)
{
	int64_t now = clock_monotonic_ms();
	struct stat st;

	if (ring.path == NULL)
		return (fail(ENOKEY));
	if (ring.loaded && !again && now - ring.looked < LOOK_MS)
		return (0);
	if (stat(ring.path, &st)) {
		int saved = errno;

		forget();
		return (fail(saved));
	}
	if ((!ring.loaded || !stat_same(&ring.st, &st) || !stat_settled(&st)) && load())
		return (-1);
	ring.looked = now;
	return (0);
}

static const struct key *
find(const char *id)
{
	for (size_t i = 0; i < ring.n; i++)
		if (strcmp(ring.keys[i].id, id) == 0)
			return (&ring.keys[i]);
	return (NULL);
}

int
seal_ready(char current[SEAL_ID_SIZE])
{
	int result;

	pthread_mutex_lock(&ring.mutex);
	result = refresh(false);
	if (result == 0 && current)
		memcpy(current, ring.keys[0].id, SEAL_ID_SIZE);
	pthread_mutex_unlock(&ring.mutex);
	return (result);
}

/* A copy of the key of this id (NULL: of the one that seals). Returns 0, or -1 with errno set. */
static int
take_key(struct key *out, const char *id)
{
	const struct key *key = NULL;
	int result;

	pthread_mutex_lock(&ring.mutex);
	result = refresh(false);
	if (result == 0 && (key = id ? find(id) : &ring.keys[0]) == NULL &&
	    (result = refresh(true)) == 0)
		key = find(id);
	if (key)
		*out = *key;
	else if (result == 0)
		result = fail(ENOKEY);
	pthread_mutex_unlock(&ring.mutex);
	return (result);
}

bool
seal_has(const char *id)
{
	struct key key;
	bool has = take_key(&key, id) == 0;

	explicit_bzero(&key, sizeof(key));
	return (has);
}

const char *
seal_problem(int error)
{
	switch (error) {
	case ENODATA:
		return ("there is no key in it");
	case EBADMSG:
		return ("a line of it is not a key (64 hexadecimal digits)");
	case E2BIG:
		return ("more keys than 8");
	case ENOKEY:
		return ("sealed under a key that is not in seal_key");
	default:
		return (file_problem(error));
	}
}

bool
seal_is_sealed(const char *text, size_t len)
{
	return (
	    len > HEAD_LEN && memcmp(text, prefix, PREFIX_LEN) == 0 && text[HEAD_LEN - 1] == ':');
}

void
seal_id_of(char id[SEAL_ID_SIZE], const char *text, size_t len)
{
	id[0] = '\0';
	if (!seal_is_sealed(text, len))
		return;
	memcpy(id, text + PREFIX_LEN, SEAL_ID_SIZE - 1);
	id[SEAL_ID_SIZE - 1] = '\0';
}

bool
seal_is_current(const char *text, size_t len)
{
	char id[SEAL_ID_SIZE], current[SEAL_ID_SIZE];

	seal_id_of(id, text, len);
	return (seal_ready(current) == 0 && strcmp(id, current) == 0);
}

/*
 * The cipher, with whose value it is: both names with their NUL, so that no two pairs are the same bytes.
 * Returns 0, or -1 with errno EINVAL for names that are too long.
 */
static int
begin(struct chacha_poly1305_ctx *c, const struct key *key, const uint8_t *nonce,
    const char *identity, const char *field)
{
	size_t first = strlen(identity) + 1, second = strlen(field) + 1;
	char names[NAMES_MAX];

	if (first + second > sizeof(names))
		return (fail(EINVAL));
	memcpy(names, identity, first);
	memcpy(names + first, field, second);
	chacha_poly1305_set_key(c, key->bytes);
	chacha_poly1305_set_nonce(c, nonce);
	chacha_poly1305_update(c, first + second, (const uint8_t *)names);
	return (0);
}

int
seal_add(struct buf *out, const char *identity, const char *field, const void *data, size_t len)
{
	const size_t text_len = BASE64_ENCODE_RAW_LENGTH(len + OVERHEAD);
	struct chacha_poly1305_ctx c;
	struct buf raw = { 0 };
	struct key key;
	int result = -1;
	uint8_t *p;

	if (take_key(&key, NULL))
		return (-1);
	if (buf_reserve(&raw, len + OVERHEAD) || buf_reserve(out, HEAD_LEN + text_len))
		goto out;
	p = (uint8_t *)raw.data;
	random_bytes(p, NONCE_SIZE);
	if (begin(&c, &key, p, identity, field))
		goto out;
	chacha_poly1305_encrypt(&c, len, p + NONCE_SIZE, data);
	chacha_poly1305_digest(&c, TAG_SIZE, p + NONCE_SIZE + len);
	explicit_bzero(&c, sizeof(c));
	buf_addf(out, "%s%s:", prefix, key.id);
	base64_encode_raw(out->data + out->len, len + OVERHEAD, p);
	out->len += text_len;
	out->data[out->len] = '\0';
	result = 0;
out:
	explicit_bzero(&key, sizeof(key));
	buf_free(&raw);
	return (result);
}

/* The bytes of the base64 behind the head. Returns 0, or -1 with errno set. */
static int
decode(struct buf *raw, const char *text, size_t len)
{
	struct base64_decode_ctx b64;
	size_t n;

	if (buf_reserve(raw, BASE64_DECODE_LENGTH(len)))
		return (-1);
	base64_decode_init(&b64);
	if (!base64_decode_update(&b64, &n, (uint8_t *)raw->data, len, text) ||
	    !base64_decode_final(&b64) || n < OVERHEAD)
		return (fail(EBADMSG));
	raw->len = n;
	return (0);
}

int
seal_open(struct buf *out, const char *identity, const char *field, const char *text, size_t len)
{
	uint8_t tag[TAG_SIZE], *p;
	struct chacha_poly1305_ctx c;
	struct buf raw = { 0 };
	char id[SEAL_ID_SIZE];
	struct key key = { 0 };
	int result = -1;
	size_t n;

	seal_id_of(id, text, len);
	if (*id == '\0')
		return (fail(EBADMSG));
	if (take_key(&key, id) || decode(&raw, text + HEAD_LEN, len - HEAD_LEN))
		goto out;
	n = raw.len - OVERHEAD;
	if (buf_reserve(out, n))
		goto out;
	p = (uint8_t *)raw.data;
	if (begin(&c, &key, p, identity, field))
		goto out;
	chacha_poly1305_decrypt(&c, n, (uint8_t *)out->data + out->len, p + NONCE_SIZE);
	chacha_poly1305_digest(&c, TAG_SIZE, tag);
	explicit_bzero(&c, sizeof(c));
	if (memeql_sec(tag, p + NONCE_SIZE + n, TAG_SIZE)) {
		out->len += n;
		result = 0;
	} else {
		explicit_bzero(out->data + out->len, n);
		errno = EBADMSG;
	}
	out->data[out->len] = '\0';
out:
	explicit_bzero(&key, sizeof(key));
	buf_wipe(&raw);
	return (result);
}
