//! Finds the texts of special tokens in a text that shall not have any.

use std::ops::Range;

use aho_corasick::{AhoCorasick, BuildError, MatchKind};

pub struct SpecialText {
    texts: Vec<String>,
    automaton: AhoCorasick,
}

impl SpecialText {
    pub fn new(texts: Vec<String>) -> Result<Self, BuildError> {
        let automaton = AhoCorasick::builder().match_kind(MatchKind::Standard).build(&texts)?;
        Ok(Self { texts, automaton })
    }

    /// Bytes of `text` that are a special text, or a part of one that could come about where an end of `text` is put
    /// beside other text.
    pub fn find(&self, text: &str) -> Vec<Range<usize>> {
        let mut found: Vec<_> = self.automaton.find_overlapping_iter(text).map(|m| m.range()).collect();
        for special in &self.texts {
            if special.contains(text) {
                found.push(0..text.len());
            }
            for (cut, _) in special.char_indices().skip(1) {
                let (head, tail) = special.split_at(cut);
                if text.starts_with(tail) {
                    found.push(0..tail.len());
                }
                if text.ends_with(head) {
                    found.push(text.len() - head.len()..text.len());
                }
            }
        }
        found
    }
}
