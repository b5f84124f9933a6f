//! What a token that a user's text must not become is written as instead.

use std::collections::{HashMap, HashSet};

use tokenizers::{Model, ModelWrapper, Result, Token};

/// Of guarded tokens that the model also knows as pieces of its own vocabulary (unigram models, merges made from a whole
/// vocabulary).
pub struct Spellings(HashMap<u32, Option<Vec<Token>>>);

impl Spellings {
    pub fn new(model: &ModelWrapper, guarded: &HashSet<u32>) -> Self {
        let known = guarded.iter().filter_map(|&id| Some((id, model.id_to_token(id)?)));
        Self(known.map(|(id, text)| (id, spell(model, guarded, &text))).collect())
    }

    /// The tokens of `piece`, without guarded ones.
    pub fn apply(&self, tokens: Vec<Token>, piece: &str) -> Result<Vec<Token>> {
        if !tokens.iter().any(|token| self.0.contains_key(&token.id)) {
            return Ok(tokens);
        }
        let mut spelled = Vec::with_capacity(tokens.len());
        for token in tokens {
            match self.0.get(&token.id).filter(|_| is_literal(&token, piece)) {
                None => spelled.push(token),
                Some(Some(spelling)) => spelled.extend_from_slice(spelling),
                Some(None) => {
                    return Err(format!("{:?} cannot be written other than as a special token", token.value).into())
                }
            }
        }
        Ok(spelled)
    }
}

/// The token is these very characters; a guarded unknown token, say, may be in the place of others.
fn is_literal(token: &Token, piece: &str) -> bool {
    piece.get(token.offsets.0..token.offsets.1) == Some(&token.value)
}

/// Takes guarded tokens apart after their first character, until there is none.
fn spell(model: &ModelWrapper, guarded: &HashSet<u32>, text: &str) -> Option<Vec<Token>> {
    let find_guarded = |tokens: &[Token], text: &str| {
        tokens.iter().position(|token| guarded.contains(&token.id) && is_literal(token, text))
    };
    let mut spelled = Vec::new();
    let mut rest = text;
    loop {
        let mut tokens = model.tokenize(rest).ok()?;
        let Some(at) = find_guarded(&tokens, rest) else {
            spelled.append(&mut tokens);
            return Some(spelled);
        };
        let start = tokens[at].offsets.0;
        let end = start + rest[start..].chars().next()?.len_utf8();
        let first = &rest[start..end];
        let mut letter = model.tokenize(first).ok()?;
        if find_guarded(&letter, first).is_some() {
            return None;
        }
        spelled.extend(tokens.drain(..at));
        spelled.append(&mut letter);
        rest = &rest[end..];
    }
}
