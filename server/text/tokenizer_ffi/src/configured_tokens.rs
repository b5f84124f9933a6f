//! The tokens of tokenizer_config.json, added as transformers' TokenizersBackend does.

use std::collections::{BTreeMap, HashSet};

use serde_json::Value;
use tokenizers::{AddedToken, Result};

/// Named special tokens of tokenizer_config.json, as transformers knows them.
const NAMED_TOKENS: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// Adds the tokens of tokenizer_config.json that tokenizer.json lacks or describes differently; returns the named ones.
/// What transformers refuses is refused.
pub fn add_configured_tokens(
    tokenizer: &mut tokenizers::Tokenizer,
    config: &Value,
) -> Result<BTreeMap<String, String>> {
    let known = tokenizer.get_added_tokens_decoder();
    let mut contents: HashSet<String> = known.values().map(|token| token.content.clone()).collect();
    let mut tokens: Vec<AddedToken> = listed_tokens(config)?;
    tokens.retain(|token| !known.values().any(|k| k == token));
    contents.extend(tokens.iter().map(|token| token.content.clone()));

    let mut named = BTreeMap::new();
    let mut add_named = |name: &str, value: &Value| -> Result<()> {
        let token = special_token(value).map_err(|problem| format!("{name}: {problem}"))?;
        named.insert(name.to_owned(), token.content.clone());
        if contents.insert(token.content.clone()) {
            tokens.push(token);
        } else if let Some(listed) = tokens.iter_mut().find(|t| t.content == token.content) {
            listed.special = true;
        }
        Ok(())
    };
    for (name, value) in config.as_object().into_iter().flatten() {
        let is_named = NAMED_TOKENS.contains(&name.as_str()) && !value.is_null();
        if is_named || (name.ends_with("_token") && value.is_string()) {
            add_named(name, value)?;
        }
    }
    for key in ["extra_special_tokens", "additional_special_tokens"] {
        match config.get(key).unwrap_or(&Value::Null) {
            Value::Null => continue,
            Value::Object(extra) => extra.iter().try_for_each(|(name, value)| add_named(name, value))?,
            Value::Array(extra) => {
                for value in extra {
                    let token = special_token(value).map_err(|problem| format!("{key}: {problem}"))?;
                    if contents.insert(token.content.clone()) {
                        tokens.push(token);
                    }
                }
            }
            _ => return Err(format!("{key}: must be a list of tokens or an object of named ones").into()),
        }
        break;
    }
    tokenizer.add_tokens(tokens)?;
    Ok(named)
}

/// The added_tokens_decoder, by id.
fn listed_tokens(config: &Value) -> Result<Vec<AddedToken>> {
    const KEY: &str = "added_tokens_decoder";
    let listed = match config.get(KEY).unwrap_or(&Value::Null) {
        Value::Null => return Ok(Vec::new()),
        Value::Object(listed) => listed,
        _ => return Err(format!("{KEY}: must be an object of tokens by id").into()),
    };
    let mut tokens: BTreeMap<u32, AddedToken> = BTreeMap::new();
    for (id, description) in listed {
        let number = id.trim().parse().map_err(|_| format!("{KEY}: {id:?} is not a token id"))?;
        let token = added_token(description).map_err(|problem| format!("{KEY}: token {id}: {problem}"))?;
        tokens.insert(number, token);
    }
    Ok(tokens.into_values().collect())
}

/// A special token as tokenizer_config.json writes it: a string, or an object that says it is one.
fn special_token(value: &Value) -> std::result::Result<AddedToken, String> {
    if let Some(content) = value.as_str() {
        return Ok(AddedToken::from(content, true));
    }
    if value.get("__type") != Some(&Value::from("AddedToken")) {
        return Err("must be a string, or an object whose __type is AddedToken".to_owned());
    }
    Ok(added_token(value)?.special(true))
}

fn added_token(value: &Value) -> std::result::Result<AddedToken, String> {
    let Value::Object(fields) = value else { return Err("must be an object".to_owned()) };
    let content = match fields.get("content") {
        None => "",
        Some(content) => content.as_str().ok_or("its content must be a string")?,
    };
    let flag = |name: &str, default: bool| match fields.get(name) {
        None => Ok(default),
        Some(flag) => flag.as_bool().ok_or_else(|| format!("its {name} must be true or false")),
    };
    let special = flag("special", false)?;
    Ok(AddedToken::from(content, special)
        .single_word(flag("single_word", false)?)
        .lstrip(flag("lstrip", false)?)
        .rstrip(flag("rstrip", false)?)
        .normalized(flag("normalized", !special)?))
}
