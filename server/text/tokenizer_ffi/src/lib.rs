//! The C ABI of tokenizer_ffi.h over the tokenizers and minijinja crates. No panic leaves this crate.

// What callers owe every function is written once, in tokenizer_ffi.h.
#![allow(clippy::missing_safety_doc)]

mod added_tokens;
mod configured_tokens;
mod special_text;
mod spelling;
mod template;
mod tokenizer;

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::slice;
use std::sync::Once;

use template::ChatTemplate;
use tokenizer::{ChatTokenizer, TokenKind};

#[derive(Clone, Copy)]
#[repr(C)]
pub struct TfText {
    data: *const u8,
    size: usize,
}

#[repr(C)]
pub struct TfString {
    data: *mut u8,
    size: usize,
}

#[repr(C)]
pub struct TfIds {
    data: *mut u32,
    size: usize,
}

#[repr(C)]
pub enum TfCode {
    Ok = 0,
    InvalidArgument = 1,
    Internal = 2,
}

struct Failure {
    code: TfCode,
    message: String,
}

fn invalid(message: impl ToString) -> Failure {
    Failure { code: TfCode::InvalidArgument, message: message.to_string() }
}

fn internal(message: impl ToString) -> Failure {
    Failure { code: TfCode::Internal, message: message.to_string() }
}

/// Runs `body` and writes its result to `out`, or what went wrong to `error`.
///
/// # Safety
/// `out` and `error` point to writable memory; what they held is overwritten.
unsafe fn call<T>(out: *mut T, error: *mut TfString, body: impl FnOnce() -> Result<T, Failure>) -> TfCode {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| std::panic::set_hook(Box::new(|_| {})));
    let result = catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| {
        let message =
            panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        Err(internal(message.unwrap_or("panic")))
    });
    match result {
        Ok(value) => {
            out.write(value);
            TfCode::Ok
        }
        Err(failure) => {
            error.write(string(failure.message));
            failure.code
        }
    }
}

fn string(text: String) -> TfString {
    let bytes = Box::leak(text.into_bytes().into_boxed_slice());
    TfString { data: bytes.as_mut_ptr(), size: bytes.len() }
}

fn ids(values: Vec<u32>) -> TfIds {
    let values = Box::leak(values.into_boxed_slice());
    TfIds { data: values.as_mut_ptr(), size: values.len() }
}

/// A slice of foreign memory; an empty one may be null.
unsafe fn view<'a, T>(data: *const T, size: usize) -> &'a [T] {
    if size == 0 {
        &[]
    } else {
        slice::from_raw_parts(data, size)
    }
}

unsafe fn bytes<'a>(text: TfText) -> &'a [u8] {
    view(text.data, text.size)
}

unsafe fn utf8<'a>(text: TfText) -> Result<&'a str, Failure> {
    std::str::from_utf8(bytes(text)).map_err(|e| invalid(format!("not valid UTF-8: {e}")))
}

#[no_mangle]
pub unsafe extern "C" fn tf_string_free(text: TfString) {
    drop(Box::from_raw(std::ptr::slice_from_raw_parts_mut(text.data, text.size)));
}

#[no_mangle]
pub unsafe extern "C" fn tf_ids_free(ids: TfIds) {
    drop(Box::from_raw(std::ptr::slice_from_raw_parts_mut(ids.data, ids.size)));
}

#[no_mangle]
pub unsafe extern "C" fn tf_tokenizer_load(
    tokenizer_json: TfText,
    config_json: TfText,
    placeholder_id: u32,
    out: *mut *mut ChatTokenizer,
    error: *mut TfString,
) -> TfCode {
    call(out, error, || {
        let config = match bytes(config_json) {
            [] => serde_json::Value::Null,
            json => serde_json::from_slice(json).map_err(invalid)?,
        };
        let tokenizer = ChatTokenizer::load(bytes(tokenizer_json), &config, placeholder_id).map_err(invalid)?;
        Ok(Box::into_raw(Box::new(tokenizer)))
    })
}

#[no_mangle]
pub unsafe extern "C" fn tf_tokenizer_free(tokenizer: *mut ChatTokenizer) {
    drop(Box::from_raw(tokenizer));
}

#[no_mangle]
pub unsafe extern "C" fn tf_tokenizer_encode(
    tokenizer: &ChatTokenizer,
    text: TfText,
    protected: *const u32,
    num_protected: usize,
    add_special_tokens: bool,
    most: usize,
    out: *mut TfIds,
    error: *mut TfString,
) -> TfCode {
    call(out, error, || {
        let protected: Vec<usize> = view(protected, num_protected).iter().map(|&offset| offset as usize).collect();
        tokenizer.encode(utf8(text)?, &protected, add_special_tokens, most).map(ids).map_err(invalid)
    })
}

#[no_mangle]
pub unsafe extern "C" fn tf_tokenizer_special_offsets(
    tokenizer: &ChatTokenizer,
    text: TfText,
    out: *mut TfIds,
    error: *mut TfString,
) -> TfCode {
    call(out, error, || {
        let offsets = tokenizer.special_offsets(utf8(text)?).map_err(invalid)?;
        Ok(ids(offsets.into_iter().map(|offset| offset as u32).collect()))
    })
}

#[no_mangle]
pub unsafe extern "C" fn tf_tokenizer_decode(
    tokenizer: &ChatTokenizer,
    token_ids: *const u32,
    num_ids: usize,
    skip_special_tokens: bool,
    out: *mut TfString,
    error: *mut TfString,
) -> TfCode {
    call(out, error, || tokenizer.decode(view(token_ids, num_ids), skip_special_tokens).map(string).map_err(internal))
}

#[no_mangle]
pub unsafe extern "C" fn tf_tokenizer_id_to_token(
    tokenizer: &ChatTokenizer,
    id: u32,
    out: *mut TfString,
    error: *mut TfString,
) -> TfCode {
    call(out, error, || {
        tokenizer.id_to_token(id).map(string).ok_or_else(|| invalid(format!("no token has the id {id}")))
    })
}

#[no_mangle]
pub unsafe extern "C" fn tf_tokenizer_token_to_id(
    tokenizer: &ChatTokenizer,
    token: TfText,
    out: *mut u32,
    error: *mut TfString,
) -> TfCode {
    call(out, error, || {
        let token = utf8(token)?;
        tokenizer.token_to_id(token).ok_or_else(|| invalid(format!("{token:?} is not a token")))
    })
}

#[no_mangle]
pub unsafe extern "C" fn tf_tokenizer_token_kind(
    tokenizer: &ChatTokenizer,
    id: u32,
    out: *mut TokenKind,
    error: *mut TfString,
) -> TfCode {
    call(out, error, || Ok(tokenizer.kind(id)))
}

#[no_mangle]
pub unsafe extern "C" fn tf_tokenizer_named_tokens(
    tokenizer: &ChatTokenizer,
    out: *mut TfString,
    error: *mut TfString,
) -> TfCode {
    call(out, error, || serde_json::to_string(&tokenizer.named_tokens).map(string).map_err(internal))
}

#[no_mangle]
pub unsafe extern "C" fn tf_tokenizer_vocabulary_size(
    tokenizer: &ChatTokenizer,
    out: *mut usize,
    error: *mut TfString,
) -> TfCode {
    call(out, error, || Ok(tokenizer.vocabulary_size()))
}

#[no_mangle]
pub unsafe extern "C" fn tf_tokenizer_longest_piece(
    tokenizer: &ChatTokenizer,
    out: *mut usize,
    error: *mut TfString,
) -> TfCode {
    call(out, error, || Ok(tokenizer.longest_piece()))
}

#[no_mangle]
pub unsafe extern "C" fn tf_template_compile(
    source: TfText,
    out: *mut *mut ChatTemplate,
    error: *mut TfString,
) -> TfCode {
    call(out, error, || {
        let template = ChatTemplate::compile(utf8(source)?).map_err(invalid)?;
        Ok(Box::into_raw(Box::new(template)))
    })
}

#[no_mangle]
pub unsafe extern "C" fn tf_template_free(template: *mut ChatTemplate) {
    drop(Box::from_raw(template));
}

#[no_mangle]
pub unsafe extern "C" fn tf_template_render(
    template: &ChatTemplate,
    context_json: TfText,
    out: *mut TfString,
    error: *mut TfString,
) -> TfCode {
    call(out, error, || {
        let context = serde_json::from_slice(bytes(context_json)).map_err(internal)?;
        template.render(context).map(string).map_err(invalid)
    })
}
