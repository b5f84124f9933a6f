//! Finds added tokens (special tokens, image placeholders, ...) in a text of which some characters are protected:
//! a character that a user wrote may be part of an ordinary added token, but never of a guarded one.
//!
//! For a text without protected characters the result is that of `tokenizers::AddedVocabulary`, which does the same
//! search but cannot leave out single matches.

use std::cmp::Reverse;
use std::sync::LazyLock;

use aho_corasick::automaton::OverlappingState;
use aho_corasick::{AhoCorasick, Anchored, BuildError, Input, MatchKind, StartKind};
use regex::Regex;
use tokenizers::normalizer::Range;
use tokenizers::{AddedToken, NormalizedString, Token};

pub struct Pattern {
    pub text: String,
    pub id: u32,
    pub token: AddedToken,
    pub guarded: bool,
}

pub struct AddedTokenMatcher {
    patterns: Vec<Pattern>,
    /// Finds where the next match starts.
    leftmost: AhoCorasick,
    /// Finds all that match at one place.
    anchored: AhoCorasick,
}

impl AddedTokenMatcher {
    pub fn new(mut patterns: Vec<Pattern>) -> Result<Self, BuildError> {
        patterns.retain(|pattern| !pattern.text.is_empty());
        let texts = || patterns.iter().map(|pattern| &pattern.text);
        Ok(Self {
            leftmost: AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(texts())?,
            anchored: AhoCorasick::builder().start_kind(StartKind::Anchored).build(texts())?,
            patterns,
        })
    }

    /// Splits `sentence` at the added tokens in it. `protected` holds byte offsets in the original text, ascending.
    pub fn split(
        &self,
        sentence: NormalizedString,
        protected: &[usize],
    ) -> Vec<(NormalizedString, Option<Vec<Token>>)> {
        let pieces = self.find(&sentence, protected);
        if let [Piece { id: None, .. }] = pieces[..] {
            return vec![(sentence, None)];
        }
        pieces
            .into_iter()
            .map(|Piece { id, range }| {
                let slice = sentence.slice(Range::Normalized(range)).expect("matches lie on character boundaries");
                let tokens = id.map(|id| {
                    let value = slice.get().to_owned();
                    let len = value.len();
                    vec![Token::new(id, value, (0, len))]
                });
                (slice, tokens)
            })
            .collect()
    }

    /// Pieces of the text in order; whitespace that an added token takes with it is in none. No whitespace is looked at
    /// twice: the work grows with the size of the text and the number of matches, whatever the matches are.
    fn find(&self, sentence: &NormalizedString, protected: &[usize]) -> Vec<Piece> {
        let text = sentence.get();
        let shift = sentence.offsets_original().0;
        let is_protected = |start: usize, end: usize| {
            let original = sentence
                .convert_offsets(Range::Normalized(start..end))
                .map_or(start..end, |r| shift + r.start..shift + r.end);
            let next = protected.partition_point(|&offset| offset < original.start);
            protected.get(next).is_some_and(|&offset| offset < original.end)
        };

        // The longest that starts here; of two that are alike the lower id.
        let match_at = |start: usize| {
            let mut state = OverlappingState::start();
            let matches = std::iter::from_fn(|| {
                let rest = Input::new(text).range(start..).anchored(Anchored::Yes);
                self.anchored.find_overlapping(rest, &mut state);
                state.get_match()
            });
            matches
                .map(|m| (m.end(), &self.patterns[m.pattern().as_usize()]))
                .filter(|&(end, pattern)| !(pattern.guarded && is_protected(start, end)))
                .max_by_key(|&(end, pattern)| (end, Reverse(pattern.id)))
        };

        let mut pieces = Vec::new();
        let mut at = 0; // where the search goes on
        let mut covered = 0; // end of the last piece, which may have taken whitespace after the match
        let mut blank = 0; // end of the whitespace looked at last
        while let Some(next) = self.leftmost.find(Input::new(text).range(at..)) {
            let start = next.start();
            at = start + 1;
            let Some((end, pattern)) = match_at(start) else { continue };
            at = end;
            if pattern.token.single_word && !is_single_word(text, start, end) {
                continue;
            }
            let begin = match text.get(covered..start) {
                Some(between) if pattern.token.lstrip => covered + between.trim_end().len(),
                _ => start,
            };
            if covered < begin {
                pieces.push(Piece { id: None, range: covered..begin });
            }
            pieces.push(Piece { id: Some(pattern.id), range: start..end });
            covered = end;
            if pattern.token.rstrip {
                if blank < end {
                    blank = text.len() - text[end..].trim_start().len();
                }
                covered = blank;
            }
        }
        if covered < text.len() {
            pieces.push(Piece { id: None, range: covered..text.len() });
        }
        pieces
    }
}

struct Piece {
    /// Of an added token.
    id: Option<u32>,
    range: std::ops::Range<usize>,
}

fn is_single_word(text: &str, start: usize, end: usize) -> bool {
    static WORD: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\w").expect("a valid pattern"));
    let is_word = |c: char| WORD.is_match(c.encode_utf8(&mut [0; 4]));
    !text[..start].chars().next_back().is_some_and(is_word) && !text[end..].chars().next().is_some_and(is_word)
}
