//! The part of a file that a diagnostic shows: the lines of its places, and long ones cut around them.
//!
//! The renderer's time grows with the text that it is handed, and for each diagnostic anew. So it never gets more than a known
//! amount, however long the file and its lines are. Where a line was cut, what it tells of columns is put right afterwards.

use std::ops::Range;

use crate::source::Source;

/// Lines with more bytes are cut.
const LINE_BYTES: usize = 1_000;
/// What is kept of a cut line on either side of a place: more than a terminal is wide.
const AROUND_BYTES: usize = 160;
/// Places that are farther apart are shown by themselves.
const APART_BYTES: usize = 8 << 10;
/// Stands for what was cut.
const CUT: char = '…';

/// Some lines of a file, as they are shown.
#[derive(Debug)]
pub(crate) struct Excerpt<'a> {
    source: &'a Source,
    /// The lines, long ones cut.
    pub(crate) text: String,
    /// The number of the first of them.
    pub(crate) line: usize,
    /// Which of the places are in it, and where.
    pub(crate) places: Vec<(usize, Range<usize>)>,
    /// Where the pieces of `text` are in the source and in `text`, and their bytes.
    pieces: Vec<(usize, usize, usize)>,
}

/// What is shown of a file for these places; the first of them is in the first excerpt. They lie in the file, on borders of
/// characters.
pub(crate) fn excerpts<'a>(source: &'a Source, places: &[Range<usize>]) -> Vec<Excerpt<'a>> {
    let text = source.text.as_str();
    // Of what is very long, the beginning is shown.
    let shown = |place: &Range<usize>| {
        place.start..text.floor_char_boundary(place.end.min(place.start + APART_BYTES)).max(place.start)
    };
    let mut sorted: Vec<(usize, Range<usize>)> = places.iter().map(shown).enumerate().collect();
    sorted.sort_by_key(|(_, place)| place.start);
    let mut together: Vec<Vec<(usize, Range<usize>)>> = Vec::new();
    for (index, place) in sorted {
        let last = together.last().and_then(|group| group.iter().map(|(_, place)| place.end).max());
        match together.last_mut() {
            Some(group) if last.is_some_and(|end| place.start <= end + APART_BYTES) => group.push((index, place)),
            _ => together.push(vec![(index, place)]),
        }
    }
    together.sort_by_key(|group| !group.iter().any(|(index, _)| *index == 0));
    together.into_iter().map(|places| Excerpt::new(source, places)).collect()
}

impl<'a> Excerpt<'a> {
    fn new(source: &'a Source, places: Vec<(usize, Range<usize>)>) -> Excerpt<'a> {
        let text = source.text.as_str();
        let first = places.iter().map(|(_, place)| place.start).min().unwrap_or(0);
        let last = places.iter().map(|(_, place)| place.end).max().unwrap_or(first);
        let start = text[..first].rfind('\n').map_or(0, |at| at + 1);
        let end = text[last..].find('\n').map_or(text.len(), |at| last + at);
        let mut excerpt =
            Excerpt { source, text: String::new(), line: line(text, start), places: Vec::new(), pieces: Vec::new() };
        let ends: Vec<usize> = places.iter().flat_map(|(_, place)| [place.start, place.end]).collect();
        let mut at = start;
        for line in text[start..end].split_inclusive('\n') {
            excerpt.push_line(at..at + line.len(), &ends);
            at += line.len();
        }
        let shown = |place: Range<usize>| excerpt.shown(place.start)..excerpt.shown(place.end);
        excerpt.places = places.into_iter().map(|(index, place)| (index, shown(place))).collect();
        excerpt
    }

    /// Adds a line, of a long one what is around these places.
    fn push_line(&mut self, line: Range<usize>, places: &[usize]) {
        let text = self.source.text.as_str();
        if line.len() <= LINE_BYTES {
            return self.push_piece(line);
        }
        let mut around: Vec<Range<usize>> = places
            .iter()
            .filter(|place| line.start <= **place && **place <= line.end)
            .map(|place| {
                let start = text.ceil_char_boundary(place.saturating_sub(AROUND_BYTES)).min(*place).max(line.start);
                start..text.floor_char_boundary(place + AROUND_BYTES).min(line.end)
            })
            .collect();
        if around.is_empty() {
            around.push(line.start..text.floor_char_boundary(line.start + AROUND_BYTES));
        }
        around.sort_by_key(|piece| piece.start);
        let mut done = line.start;
        for piece in around {
            if piece.start > done {
                self.text.push(CUT);
            }
            if piece.end > done {
                self.push_piece(piece.start.max(done)..piece.end);
                done = piece.end;
            }
        }
        if done < line.end {
            self.text.push(CUT);
            if text[..line.end].ends_with('\n') {
                self.push_piece(line.end - 1..line.end);
            }
        }
    }

    fn push_piece(&mut self, piece: Range<usize>) {
        self.pieces.push((piece.start, self.text.len(), piece.len()));
        self.text.push_str(&self.source.text[piece]);
    }

    /// The name of the file.
    pub(crate) fn file(&self) -> &'a str {
        &self.source.name
    }

    /// Where something of the source is in the excerpt; around all places there is a piece.
    fn shown(&self, at: usize) -> usize {
        let piece = self.pieces.iter().rfind(|(from, _, bytes)| *from <= at && at <= from + bytes);
        piece.map_or(0, |(from, to, _)| to + (at - from))
    }

    /// The column in the file, from 1, of what is in this column of this line here.
    fn column(&self, line: usize, column: usize) -> Option<usize> {
        let before: usize = self.text.split_inclusive('\n').take(line.checked_sub(self.line)?).map(str::len).sum();
        let line = self.text[before..].lines().next().unwrap_or("");
        let left: usize = line.chars().take(column.checked_sub(1)?).map(char::len_utf8).sum();
        // The renderer has one column more, for what stands at the end of a line.
        let behind = (column - 1).saturating_sub(line.chars().count());
        let at = before + left;
        let (from, to, _) = self.pieces.iter().rfind(|(_, to, bytes)| *to <= at && at <= to + bytes)?;
        Some(position(&self.source.text, from + (at - to)).1 + behind)
    }

    /// Puts the column right that the renderer has written behind the file's name and the line. Gives how far that is done.
    pub(crate) fn put_column_right(&self, rendered: &mut String, from: usize) -> usize {
        let named = format!("{}:", self.source.name);
        let Some(at) = rendered[from..].find(&named).map(|at| from + at + named.len()) else { return from };
        let end = rendered[at..].find('\n').map_or(rendered.len(), |end| at + end);
        let mut numbers = rendered[at..end].split(':').map(|number| {
            let digits = number.trim_end_matches(|c: char| !c.is_ascii_digit());
            (digits.len(), digits.parse::<usize>().ok())
        });
        let (Some((skip, Some(line))), Some((digits, Some(column)))) = (numbers.next(), numbers.next()) else {
            return from;
        };
        let Some(right) = self.column(line, column) else { return end };
        let (start, right) = (at + skip + 1, right.to_string());
        rendered.replace_range(start..start + digits, &right);
        start + right.len()
    }
}

/// The number of the line that begins here, from 1.
fn line(text: &str, start: usize) -> usize {
    1 + text.as_bytes()[..start].iter().filter(|byte| **byte == b'\n').count()
}

/// Line and column of a byte, from 1.
pub(crate) fn position(text: &str, at: usize) -> (usize, usize) {
    let start = text[..at].rfind('\n').map_or(0, |at| at + 1);
    (line(text, start), 1 + text[start..at].chars().count())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: impl Into<String>) -> Source {
        Source { name: "a.ron".to_owned(), text: text.into() }
    }

    /// The whole texts of excerpts, and what they show of each place.
    fn shown<'a>(excerpts: &'a [Excerpt]) -> (usize, Vec<(usize, &'a str)>) {
        let places = excerpts
            .iter()
            .flat_map(|excerpt| excerpt.places.iter().map(|(index, place)| (*index, &excerpt.text[place.clone()])));
        (excerpts.iter().map(|excerpt| excerpt.text.len()).sum(), places.collect())
    }

    #[test]
    fn short_lines_are_shown_as_they_are() {
        let source = source("one\n  two, three\nfour\n");
        let found = excerpts(&source, &[11..16, 6..9]);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].text.as_str(), found[0].line), ("  two, three", 2));
        assert_eq!(shown(&found).1, [(1, "two"), (0, "three")]);
    }

    #[test]
    fn no_more_than_a_known_amount_is_shown_however_long_a_file_or_its_lines_are() {
        for filler in ["x", "é,", "x\n", "\n", "abcdefghij\u{2028}"] {
            let text =
                format!("{}FIRST{}SECOND{}", filler.repeat(200_000), filler.repeat(200_000), filler.repeat(200_000));
            let (first, second) = (text.find("FIRST").unwrap(), text.find("SECOND").unwrap());
            let source = source(text);
            let places = [second..second + 6, first..first + 5, first..second + 6, second..second];
            let found = excerpts(&source, &places);
            let (bytes, shown) = shown(&found);
            assert!(bytes <= 2 * (2 * APART_BYTES + 4 * (LINE_BYTES + AROUND_BYTES)), "{filler:?}: {bytes}");
            assert!(found[0].places.iter().any(|(index, _)| *index == 0), "{filler:?}");
            assert_eq!(shown.len(), places.len());
            for (index, shown) in shown {
                let wanted = ["SECOND", "FIRST", "FIRST", ""][index];
                assert!(if index == 2 { shown.starts_with(wanted) } else { shown == wanted }, "{filler:?}: {shown}");
            }
            for excerpt in &found {
                let first = excerpt.places.iter().map(|(index, _)| places[*index].start).min().unwrap();
                assert_eq!(excerpt.line, position(&source.text, first).0);
            }
        }
    }

    #[test]
    fn the_column_is_that_of_the_file() {
        let source = source(format!("{}é\n{}here{}", "x".repeat(2_000), "ö".repeat(5_000), "y".repeat(3_000)));
        let at = source.text.find("here").unwrap();
        let found = excerpts(&source, std::slice::from_ref(&(at..at + 4)));
        let (start, end) = (found[0].places[0].1.start, found[0].text.len());
        assert!(end < 2 * LINE_BYTES);
        let column = 1 + found[0].text[..start].chars().count();
        let mut rendered = format!("error: a.ron\n --> a.ron:2:{column}\n");
        let done = found[0].put_column_right(&mut rendered, "error: a.ron\n".len());
        assert_eq!((rendered.as_str(), done), ("error: a.ron\n --> a.ron:2:5001\n", rendered.len() - 1));
    }
}
