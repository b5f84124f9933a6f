// C ABI of the Rust crate beside it: Hugging Face tokenizers and Jinja chat templates. Only tokenizer.cc and
// chat_template.cc call it; everybody else uses their classes.
//
// Every function that can fail returns a TfCode. On TF_OK it has written its result to `out`, otherwise a
// message to `error`; the other one is left alone. Results and messages belong to the caller, who gives them
// to the matching free function once. Pointers must not be null, except for the data of an empty text or
// array. Thread-safe: a tokenizer or template may be used by any number of threads at once; none may while it
// is freed.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct TfTokenizer TfTokenizer;
typedef struct TfTemplate TfTemplate;

// Bytes of the caller, valid during the call.
typedef struct {
  const char* data;
  size_t size;
} TfText;

// UTF-8 made by the crate, without a terminating zero.
typedef struct {
  char* data;
  size_t size;
} TfString;

typedef struct {
  uint32_t* data;
  size_t size;
} TfIds;

typedef enum {
  TF_OK = 0,
  TF_INVALID_ARGUMENT = 1,  // the caller's text, file or conversation is at fault
  TF_INTERNAL = 2,          // the tokenizer, the template or this crate is at fault
} TfCode;

typedef uint8_t TfTokenKind;
enum {
  TF_TOKEN_TEXT = 0,
  TF_TOKEN_SPECIAL = 1,  // left out of decoded text
  TF_TOKEN_BYTE = 2,     // one byte; the text of a run of such tokens is known when the run has ended
  TF_TOKEN_UNKNOWN = 3,  // no token has this id
};

void tf_string_free(TfString string);
void tf_ids_free(TfIds ids);

// tokenizer_json, config_json: contents of tokenizer.json and tokenizer_config.json, the latter may be empty.
// placeholder_id: token of an image; like the special tokens it is never made from protected text.
TfCode tf_tokenizer_load(TfText tokenizer_json, TfText config_json, uint32_t placeholder_id,
                         TfTokenizer** out, TfString* error);
void tf_tokenizer_free(TfTokenizer* tokenizer);

// Token ids of a text. protected: byte offsets, ascending, of characters that must not become part of a
// special token or placeholder. add_special_tokens: adds what the tokenizer's post-processor adds (BOS, EOS).
// most: of a text that has more tokens, the first most + 1 are given.
TfCode tf_tokenizer_encode(const TfTokenizer* tokenizer, TfText text, const uint32_t* protected_offsets,
                           size_t num_protected, bool add_special_tokens, size_t most, TfIds* out,
                           TfString* error);

// Offsets to protect so that no part of `text` becomes a special token or placeholder, wherever the text is
// put.
TfCode tf_tokenizer_special_offsets(const TfTokenizer* tokenizer, TfText text, TfIds* out, TfString* error);

// Text of token ids; bytes that are no UTF-8 become U+FFFD, unknown ids nothing.
TfCode tf_tokenizer_decode(const TfTokenizer* tokenizer, const uint32_t* ids, size_t num_ids,
                           bool skip_special_tokens, TfString* out, TfString* error);

TfCode tf_tokenizer_id_to_token(const TfTokenizer* tokenizer, uint32_t id, TfString* out, TfString* error);
TfCode tf_tokenizer_token_to_id(const TfTokenizer* tokenizer, TfText token, uint32_t* out, TfString* error);
TfCode tf_tokenizer_token_kind(const TfTokenizer* tokenizer, uint32_t id, TfTokenKind* out, TfString* error);

// Named special tokens as a JSON object: {"bos_token": "<s>", ...}.
TfCode tf_tokenizer_named_tokens(const TfTokenizer* tokenizer, TfString* out, TfString* error);

// Number of tokens, added ones included.
TfCode tf_tokenizer_vocabulary_size(const TfTokenizer* tokenizer, size_t* out, TfString* error);

// The most bytes of text that one token can represent.
TfCode tf_tokenizer_longest_piece(const TfTokenizer* tokenizer, size_t* out, TfString* error);

TfCode tf_template_compile(TfText source, TfTemplate** out, TfString* error);
void tf_template_free(TfTemplate* chat_template);

// context_json: object with the template's variables. TF_INVALID_ARGUMENT if the template refuses the
// conversation (raise_exception) or fails on it.
TfCode tf_template_render(const TfTemplate* chat_template, TfText context_json, TfString* out,
                          TfString* error);

#ifdef __cplusplus
}
#endif
