//! Finds added tokens (special tokens, image placeholders, ...) in a text of which some characters are protected:
//! a character that a user wrote may be part of an ordinary added token, but never of a guarded one.
//!
//! For a text without protected characters the result is that of `tokenizers::AddedVocabulary`, which does the same
//! search but cannot leave out single matches.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, MatchKind};
use regex::Regex;
use tokenizers::normalizer::Range;
use tokenizers::{AddedToken, NormalizedString, Offsets, Token};

pub struct Pattern {
    pub text: String,
    pub id: u32,
    pub token: AddedToken,
    pub guarded: bool,
}

pub struct AddedTokenMatcher {
    patterns: Vec<Pattern>,
    automaton: AhoCorasick,
}

impl AddedTokenMatcher {
    pub fn new(patterns: Vec<Pattern>) -> Result<Self, aho_corasick::BuildError> {
        let automaton =
            AhoCorasick::builder().match_kind(MatchKind::Standard).build(patterns.iter().map(|p| &p.text))?;
        Ok(Self { patterns, automaton })
    }

    /// Splits `sentence` at the added tokens in it. `protected` holds byte offsets in the original text, ascending.
    pub fn split(
        &self,
        sentence: &NormalizedString,
        protected: &[usize],
    ) -> Vec<(NormalizedString, Option<Vec<Token>>)> {
        self.find(sentence, protected)
            .into_iter()
            .map(|(id, range)| {
                let slice =
                    sentence.slice(Range::Normalized(range.0..range.1)).expect("matches lie on character boundaries");
                let tokens = id.map(|id| {
                    let value = slice.get().to_owned();
                    let len = value.len();
                    vec![Token::new(id, value, (0, len))]
                });
                (slice, tokens)
            })
            .collect()
    }

    /// Pieces of the text in order, with the id of those that are added tokens.
    fn find(&self, sentence: &NormalizedString, protected: &[usize]) -> Vec<(Option<u32>, Offsets)> {
        let text = sentence.get();
        let shift = sentence.offsets_original().0;
        let is_protected = |start: usize, end: usize| {
            let original = sentence
                .convert_offsets(Range::Normalized(start..end))
                .map_or(start..end, |r| shift + r.start..shift + r.end);
            let next = protected.partition_point(|&offset| offset < original.start);
            protected.get(next).is_some_and(|&offset| offset < original.end)
        };

        // Leftmost first, of these the longest.
        let mut candidates: Vec<(usize, usize, &Pattern)> = self
            .automaton
            .find_overlapping_iter(text)
            .map(|m| (m.start(), m.end(), &self.patterns[m.pattern().as_usize()]))
            .filter(|&(start, end, pattern)| !(pattern.guarded && is_protected(start, end)))
            .collect();
        candidates.sort_by_key(|&(start, end, _)| (start, std::cmp::Reverse(end)));

        let mut pieces = Vec::new();
        let mut matched = 0; // end of the last match
        let mut covered = 0; // end of the last piece, which may have taken whitespace behind the match
        for (start, end, pattern) in candidates {
            if start < matched {
                continue;
            }
            matched = end;
            if pattern.token.single_word && !is_single_word(text, start, end) {
                continue;
            }
            let begin = if pattern.token.lstrip { text[..start].trim_end().len().max(covered) } else { start };
            let stop = if pattern.token.rstrip { text.len() - text[end..].trim_start().len() } else { end };
            if covered < begin {
                pieces.push((None, (covered, begin)));
            }
            pieces.push((Some(pattern.id), (begin, stop)));
            covered = stop;
        }
        if covered < text.len() {
            pieces.push((None, (covered, text.len())));
        }
        pieces
    }
}

fn is_single_word(text: &str, start: usize, end: usize) -> bool {
    static WORD: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\w").expect("a valid pattern"));
    let is_word = |c: char| WORD.is_match(c.encode_utf8(&mut [0; 4]));
    !text[..start].chars().next_back().is_some_and(is_word) && !text[end..].chars().next().is_some_and(is_word)
}
