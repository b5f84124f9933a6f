//! A Hugging Face tokenizer that can be told which characters of a text a user wrote.

use std::collections::{BTreeMap, HashSet};

use serde_json::Value;
use tokenizers::normalizer::Range;
use tokenizers::tokenizer::pre_tokenizer::OffsetType;
use tokenizers::{
    AddedToken, DecoderWrapper, Model, NormalizedString, Normalizer, PreTokenizedString, PreTokenizer, Result, Token,
};

use crate::added_tokens::{AddedTokenMatcher, Pattern};
use crate::special_text::SpecialText;

/// Named special tokens of tokenizer_config.json, as transformers knows them.
const NAMED_TOKENS: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// What a token is to somebody who turns ids into text.
#[derive(Clone, Copy, PartialEq)]
#[repr(u8)]
pub enum TokenKind {
    Text = 0,
    /// Left out of decoded text.
    Special = 1,
    /// One byte of a character; the text of a run of them is known when the run has ended.
    Byte = 2,
    Unknown = 3,
}

pub struct ChatTokenizer {
    inner: tokenizers::Tokenizer,
    /// Ids a user's text must never be turned into: special tokens and the image placeholder.
    guarded: HashSet<u32>,
    raw_tokens: AddedTokenMatcher,
    normalized_tokens: AddedTokenMatcher,
    special_text: SpecialText,
    normalized_special_text: SpecialText,
    has_byte_fallback: bool,
    /// Named special tokens, for the chat template.
    pub named_tokens: BTreeMap<String, String>,
}

impl ChatTokenizer {
    /// `config` is tokenizer_config.json; its tokens are added as transformers' TokenizersBackend does.
    pub fn load(tokenizer_json: &[u8], config: &Value, placeholder_id: u32) -> Result<Self> {
        let mut inner = tokenizers::Tokenizer::from_bytes(tokenizer_json)?;
        inner.with_truncation(None)?;
        inner.with_padding(None);
        let named_tokens = add_configured_tokens(&mut inner, config)?;

        if inner.id_to_token(placeholder_id).is_none() {
            return Err(format!("there is no token with the id {placeholder_id} of the image placeholder").into());
        }
        let mut guarded = HashSet::from([placeholder_id]);
        let (mut raw, mut normalized) = (Vec::new(), Vec::new());
        for (id, token) in inner.get_added_tokens_decoder() {
            if token.special {
                guarded.insert(id);
            }
            let guarded = guarded.contains(&id);
            if token.normalized {
                let text = normalize(&inner, &token.content)?.get().to_owned();
                normalized.push(Pattern { text, id, token, guarded });
            } else {
                raw.push(Pattern { text: token.content.clone(), id, token, guarded });
            }
        }
        let all = || raw.iter().chain(&normalized).filter(|p| p.guarded);
        let special_text = SpecialText::new(all().map(|p| p.token.content.clone()).collect())?;
        let normalized_special_text =
            SpecialText::new(normalized.iter().filter(|p| p.guarded).map(|p| p.text.clone()).collect())?;
        let has_byte_fallback = match inner.get_decoder() {
            Some(DecoderWrapper::Sequence(sequence)) => {
                sequence.get_decoders().iter().any(|d| matches!(d, DecoderWrapper::ByteFallback(_)))
            }
            Some(DecoderWrapper::ByteFallback(_)) => true,
            _ => false,
        };
        Ok(Self {
            inner,
            guarded,
            raw_tokens: AddedTokenMatcher::new(raw)?,
            normalized_tokens: AddedTokenMatcher::new(normalized)?,
            special_text,
            normalized_special_text,
            has_byte_fallback,
            named_tokens,
        })
    }

    /// Ids of `text`. No character at an offset in `protected` (bytes, ascending) becomes part of a guarded token;
    /// apart from that this is `tokenizers::Tokenizer::encode`.
    pub fn encode(&self, text: &str, protected: &[usize], add_special_tokens: bool) -> Result<Vec<u32>> {
        let mut pieces = PreTokenizedString::from(text);
        pieces.split(|_, piece| Ok(self.raw_tokens.split(&piece, protected)))?;
        pieces.split(|_, mut piece| {
            if let Some(normalizer) = self.inner.get_normalizer() {
                normalizer.normalize(&mut piece)?;
            }
            Ok(self.normalized_tokens.split(&piece, protected))
        })?;
        if let Some(pre_tokenizer) = self.inner.get_pre_tokenizer() {
            pre_tokenizer.pre_tokenize(&mut pieces)?;
        }
        pieces.tokenize(|piece| self.tokenize(piece.get()))?;
        let encoding = pieces.into_encoding(None, 0, OffsetType::None)?;
        Ok(self.inner.post_process(encoding, None, add_special_tokens)?.get_ids().to_vec())
    }

    /// Byte offsets of the characters of `text` to protect so that no part of it becomes a guarded token, wherever
    /// it is put; ascending. Ordinary text has none.
    pub fn special_offsets(&self, text: &str) -> Result<Vec<usize>> {
        if text.is_empty() {
            return Ok(Vec::new());
        }
        let normalized = normalize(&self.inner, text)?;
        let in_normalized = self.normalized_special_text.find(normalized.get());
        let ranges = in_normalized.into_iter().filter_map(|range| normalized.convert_offsets(Range::Normalized(range)));
        // One character of each is enough. White space is left alone: templates strip it, and a special token written
        // by the template may take in what stands beside it.
        let mut offsets: Vec<usize> = self
            .special_text
            .find(text)
            .into_iter()
            .chain(ranges)
            .filter_map(|range| Some(range.start + text.get(range)?.find(|c: char| !c.is_whitespace())?))
            .collect();
        offsets.sort_unstable();
        offsets.dedup();
        Ok(offsets)
    }

    pub fn decode(&self, ids: &[u32], skip_special_tokens: bool) -> Result<String> {
        self.inner.decode(ids, skip_special_tokens)
    }

    pub fn kind(&self, id: u32) -> TokenKind {
        let Some(token) = self.inner.id_to_token(id) else { return TokenKind::Unknown };
        if self.inner.get_added_vocabulary().is_special_token(&token) {
            TokenKind::Special
        } else if self.has_byte_fallback && is_byte_token(&token) {
            TokenKind::Byte
        } else {
            TokenKind::Text
        }
    }

    pub fn token_to_id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    pub fn id_to_token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    pub fn vocabulary_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// Tokens of a piece without added tokens. A model can know a special token as an ordinary piece of its own
    /// vocabulary (unigram models, merges made from a whole vocabulary); such a piece is taken apart.
    fn tokenize(&self, piece: &str) -> Result<Vec<Token>> {
        let mut tokens = self.inner.get_model().tokenize(piece)?;
        let is_guarded = |token: &Token| {
            self.guarded.contains(&token.id) && piece.get(token.offsets.0..token.offsets.1) == Some(&token.value)
        };
        let Some(token) = tokens.iter().find(|token| is_guarded(token)) else { return Ok(tokens) };
        let first = piece[token.offsets.0..].chars().next().map_or(0, char::len_utf8);
        let (head, tail) = piece.split_at(token.offsets.0 + first);
        if tail.is_empty() {
            return Err(format!("{:?} cannot be written other than as a special token", token.value).into());
        }
        tokens = self.tokenize(head)?;
        tokens.extend(self.tokenize(tail)?.into_iter().map(|mut token| {
            token.offsets = (token.offsets.0 + head.len(), token.offsets.1 + head.len());
            token
        }));
        Ok(tokens)
    }
}

fn normalize(tokenizer: &tokenizers::Tokenizer, text: &str) -> Result<NormalizedString> {
    let mut normalized = NormalizedString::from(text);
    if let Some(normalizer) = tokenizer.get_normalizer() {
        normalizer.normalize(&mut normalized)?;
    }
    Ok(normalized)
}

/// <0x00> to <0xFF>
fn is_byte_token(token: &str) -> bool {
    token.len() == 6
        && token.starts_with("<0x")
        && token.ends_with('>')
        && token.get(3..5).is_some_and(|hex| u8::from_str_radix(hex, 16).is_ok())
}

/// Adds the tokens of tokenizer_config.json that tokenizer.json lacks or describes differently; returns the named ones.
fn add_configured_tokens(tokenizer: &mut tokenizers::Tokenizer, config: &Value) -> Result<BTreeMap<String, String>> {
    let known = tokenizer.get_added_tokens_decoder();
    let mut contents: HashSet<String> = known.values().map(|token| token.content.clone()).collect();
    let mut tokens: Vec<AddedToken> = Vec::new();

    if let Some(decoder) = config.get("added_tokens_decoder").and_then(Value::as_object) {
        let mut listed: Vec<(u32, AddedToken)> = Vec::new();
        for (id, description) in decoder {
            let id = id.parse().map_err(|_| format!("added_tokens_decoder: {id:?} is not a token id"))?;
            let token =
                added_token(description).ok_or_else(|| format!("added_tokens_decoder: token {id} has no content"))?;
            listed.push((id, token));
        }
        listed.sort_by_key(|(id, _)| *id);
        tokens.extend(listed.into_iter().map(|(_, token)| token).filter(|token| !known.values().any(|k| k == token)));
    }
    contents.extend(tokens.iter().map(|token| token.content.clone()));

    let mut named = BTreeMap::new();
    let mut add_named = |name: &str, value: &Value| {
        if let Some(token) = added_token(value) {
            named.insert(name.to_owned(), token.content.clone());
            if contents.insert(token.content.clone()) {
                tokens.push(token.special(true));
            } else if let Some(listed) = tokens.iter_mut().find(|t| t.content == token.content) {
                listed.special = true;
            }
        }
    };
    for (name, value) in config.as_object().into_iter().flatten() {
        if NAMED_TOKENS.contains(&name.as_str()) || (name.ends_with("_token") && value.is_string()) {
            add_named(name, value);
        }
    }
    let extra = config.get("extra_special_tokens").filter(|extra| !extra.is_null());
    match extra.or_else(|| config.get("additional_special_tokens")) {
        Some(Value::Object(extra)) => extra.iter().for_each(|(name, value)| add_named(name, value)),
        Some(Value::Array(extra)) => {
            for token in extra.iter().filter_map(added_token) {
                if contents.insert(token.content.clone()) {
                    tokens.push(token.special(true));
                }
            }
        }
        _ => {}
    }
    tokenizer.add_tokens(tokens)?;
    Ok(named)
}

/// A token as tokenizer_config.json writes it: a string, or an object with its properties.
fn added_token(value: &Value) -> Option<AddedToken> {
    if let Some(content) = value.as_str() {
        return Some(AddedToken::from(content, true));
    }
    let content = value.get("content")?.as_str()?;
    let flag = |name: &str, default: bool| value.get(name).and_then(Value::as_bool).unwrap_or(default);
    let special = flag("special", false);
    Some(
        AddedToken::from(content, special)
            .single_word(flag("single_word", false))
            .lstrip(flag("lstrip", false))
            .rstrip(flag("rstrip", false))
            .normalized(flag("normalized", !special)),
    )
}
