//! Finds the texts of special tokens in a text that shall not have any.

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

    /// Byte offsets of one character of every special text that stands in `text` whole, or that could come about
    /// where an end of `text` is put beside other text.
    pub fn offsets(&self, text: &str) -> Vec<usize> {
        let mut offsets: Vec<usize> = self.automaton.find_overlapping_iter(text).map(|m| m.start()).collect();
        for special in &self.texts {
            if special.contains(text) {
                offsets.push(0);
            }
            for (cut, _) in special.char_indices().skip(1) {
                let (head, tail) = special.split_at(cut);
                if text.starts_with(tail) {
                    offsets.push(0);
                }
                if text.ends_with(head) {
                    offsets.push(text.len() - head.len());
                }
            }
        }
        offsets
    }
}
