//! A Hugging Face tokenizer that can be told which characters of a text a user wrote.

use std::collections::{BTreeMap, HashSet};

use serde_json::Value;
use tokenizers::normalizer::Range;
use tokenizers::tokenizer::pre_tokenizer::OffsetType;
use tokenizers::{
    AddedToken, DecoderWrapper, Model, NormalizedString, Normalizer, PreTokenizedString, PreTokenizer, Result,
    TruncationDirection,
};

use crate::added_tokens::{AddedTokenMatcher, Pattern};
use crate::configured_tokens::add_configured_tokens;
use crate::special_text::SpecialText;
use crate::spelling::Spellings;

const CONFIG_FILE: &str = "tokenizer_config.json";
/// Words whose tokens each thread keeps.
const CACHED_WORDS: usize = 1000;

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
    /// Of the ids a user's text must never be turned into: special tokens and the image placeholder.
    spellings: Spellings,
    raw_tokens: AddedTokenMatcher,
    normalized_tokens: AddedTokenMatcher,
    special_text: SpecialText,
    normalized_special_text: SpecialText,
    has_byte_fallback: bool,
    longest_piece: usize,
    /// Named special tokens, for the chat template.
    pub named_tokens: BTreeMap<String, String>,
}

impl ChatTokenizer {
    /// `config` is tokenizer_config.json.
    pub fn load(tokenizer_json: &[u8], config: &Value, placeholder_id: u32) -> Result<Self> {
        let mut inner = tokenizers::Tokenizer::from_bytes(tokenizer_json)?;
        inner.with_truncation(None)?;
        inner.with_padding(None);
        let named_tokens =
            add_configured_tokens(&mut inner, config).map_err(|problem| format!("{CONFIG_FILE}: {problem}"))?;
        limit_cache(&mut inner);

        if inner.id_to_token(placeholder_id).is_none() {
            return Err(format!("there is no token with the id {placeholder_id} of the image placeholder").into());
        }
        let mut guarded = HashSet::from([placeholder_id]);
        let (mut raw, mut normalized) = (Vec::new(), Vec::new());
        let added: BTreeMap<u32, AddedToken> = inner.get_added_tokens_decoder().into_iter().collect();
        for (id, token) in added {
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
            spellings: Spellings::new(inner.get_model(), &guarded),
            longest_piece: longest_piece(&inner)?,
            inner,
            raw_tokens: AddedTokenMatcher::new(raw)?,
            normalized_tokens: AddedTokenMatcher::new(normalized)?,
            special_text,
            normalized_special_text,
            has_byte_fallback,
            named_tokens,
        })
    }

    /// Ids of `text`. No character at an offset in `protected` (bytes, ascending) becomes part of a guarded token;
    /// apart from that this is `tokenizers::Tokenizer::encode`. Stops when there are more than `most` ids: the result
    /// then has `most` + 1.
    pub fn encode(&self, text: &str, protected: &[usize], add_special_tokens: bool, most: usize) -> Result<Vec<u32>> {
        let mut pieces = PreTokenizedString::from(text);
        pieces.split(|_, piece| Ok(self.raw_tokens.split(piece, protected)))?;
        pieces.split(|_, mut piece| {
            if let Some(normalizer) = self.inner.get_normalizer() {
                normalizer.normalize(&mut piece)?;
            }
            Ok(self.normalized_tokens.split(piece, protected))
        })?;
        if let Some(pre_tokenizer) = self.inner.get_pre_tokenizer() {
            pre_tokenizer.pre_tokenize(&mut pieces)?;
        }
        let limit = most.saturating_add(1);
        let tokenize =
            |piece: &NormalizedString| self.spellings.apply(self.inner.get_model().tokenize(piece.get())?, piece.get());
        pieces.tokenize_with_limit(tokenize, limit, TruncationDirection::Right)?;
        let encoding = pieces.into_encoding(None, 0, OffsetType::None)?;
        let encoding = self.inner.post_process(encoding, None, add_special_tokens)?;
        Ok(encoding.get_ids().iter().copied().take(limit).collect())
    }

    /// Byte offsets of the characters of `text` to protect so that no part of it becomes a guarded token, wherever
    /// it is put; ascending. Ordinary text has none.
    pub fn special_offsets(&self, text: &str) -> Result<Vec<usize>> {
        if text.is_empty() {
            return Ok(Vec::new());
        }
        let mut ranges = self.special_text.find(text);
        if !self.normalized_special_text.is_empty() {
            let normalized = normalize(&self.inner, text)?;
            let in_normalized = self.normalized_special_text.find(normalized.get()).into_iter();
            ranges.extend(in_normalized.filter_map(|range| normalized.convert_offsets(Range::Normalized(range))));
        }
        // One character of each is enough. White space is left alone: templates strip it, and a special token written
        // by the template may take in what is next to it.
        let mut offsets: Vec<usize> = ranges
            .into_iter()
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

    /// The most bytes of text that one token can represent, without white space that added tokens take with them.
    pub fn longest_piece(&self) -> usize {
        self.longest_piece
    }
}

/// The longest text of a token. That of a piece as the model writes it is at least as long, so few are decoded.
fn longest_piece(tokenizer: &tokenizers::Tokenizer) -> Result<usize> {
    let mut pieces: Vec<(String, u32)> = tokenizer.get_vocab(true).into_iter().collect();
    pieces.sort_unstable_by_key(|(piece, _)| std::cmp::Reverse(piece.len()));
    let mut longest = 1;
    for (piece, id) in pieces {
        if piece.len() <= longest {
            break;
        }
        // A space at the start of a text is dropped by some decoders.
        let once = tokenizer.decode(&[id], false)?.len();
        let twice = tokenizer.decode(&[id, id], false)?.len();
        longest = longest.max(once).max(twice.saturating_sub(once));
    }
    Ok(longest)
}

/// The crate keeps the first words that each thread comes upon, for ever: words can be chosen so that the 10 000 it
/// keeps by itself take 80 MB.
fn limit_cache(tokenizer: &mut tokenizers::Tokenizer) {
    let mut model = tokenizer.get_model().clone();
    model.resize_cache(CACHED_WORDS);
    tokenizer.with_model(model);
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
