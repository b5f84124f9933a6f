//! Finds the texts of special tokens in a text that shall not have any.

use std::collections::HashMap;
use std::ops::Range;

use aho_corasick::{AhoCorasick, BuildError, MatchKind};

/// Where to cut a special text in two.
struct Cut {
    special: usize,
    at: usize,
}

pub struct SpecialText {
    texts: Vec<String>,
    automaton: AhoCorasick,
    /// By the last character before the cut, and by the first one after it: most texts have few to compare.
    cuts_after: HashMap<char, Vec<Cut>>,
    cuts_before: HashMap<char, Vec<Cut>>,
    longest: usize,
}

impl SpecialText {
    pub fn new(texts: Vec<String>) -> Result<Self, BuildError> {
        let automaton = AhoCorasick::builder().match_kind(MatchKind::Standard).build(&texts)?;
        let mut cuts_after: HashMap<char, Vec<Cut>> = HashMap::new();
        let mut cuts_before: HashMap<char, Vec<Cut>> = HashMap::new();
        for (special, text) in texts.iter().enumerate() {
            let next = text.char_indices().skip(1);
            for ((_, before), (at, after)) in text.char_indices().zip(next) {
                cuts_after.entry(before).or_default().push(Cut { special, at });
                cuts_before.entry(after).or_default().push(Cut { special, at });
            }
        }
        let longest = texts.iter().map(String::len).max().unwrap_or(0);
        Ok(Self { texts, automaton, cuts_after, cuts_before, longest })
    }

    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// Bytes of `text` that are a special text, or a part of one that could come about where an end of `text` is put
    /// next to other text.
    pub fn find(&self, text: &str) -> Vec<Range<usize>> {
        let mut found: Vec<_> = self.automaton.find_overlapping_iter(text).map(|m| m.range()).collect();
        for (_, tail) in self.cut_texts(text.chars().next(), &self.cuts_before) {
            if text.starts_with(tail) {
                found.push(0..tail.len());
            }
        }
        for (head, _) in self.cut_texts(text.chars().next_back(), &self.cuts_after) {
            if text.ends_with(head) {
                found.push(text.len() - head.len()..text.len());
            }
        }
        if text.len() < self.longest && self.texts.iter().any(|special| special.contains(text)) {
            found.push(0..text.len());
        }
        found
    }

    fn cut_texts<'a>(
        &'a self,
        character: Option<char>,
        cuts: &'a HashMap<char, Vec<Cut>>,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        let cuts = character.and_then(|c| cuts.get(&c));
        cuts.into_iter().flatten().map(|cut| self.texts[cut.special].split_at(cut.at))
    }
}
