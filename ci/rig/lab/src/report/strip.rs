//! The picture of fates: a cell for each frame in the order in which they were given, and the table that it leads to.

use super::fates::{Fate, Run, counts};
use maud::{Markup, html};
use std::collections::BTreeMap;

/// More cells than this are not drawn: then a cell stands for several frames.
const MOST_CELLS: u64 = 1000;
/// More cells than this are drawn smaller.
const MANY_CELLS: usize = 500;
/// Cells in the shortest row that a style sheet makes; longer rows have a multiple of it.
const ROW: usize = 25;

/// A cell: frames that follow each other.
struct Cell {
    first: u64,
    last: u64,
    /// The run of its worst frame, by number.
    run: usize,
    fates: BTreeMap<Fate, u64>,
}

impl Cell {
    /// The worst of its frames' fates.
    fn worst(&self) -> Fate {
        self.fates.keys().next_back().copied().unwrap_or(Fate::Lost)
    }

    fn title(&self, runs: &[Run]) -> String {
        let numbers = if self.first == self.last {
            format!("frame {}", self.first)
        } else {
            format!("frames {} to {}", self.first, self.last)
        };
        let note = runs.get(self.run).map_or("", |run| run.note.as_str());
        let note = if note.is_empty() { String::new() } else { format!(" ({note})") };
        format!("{numbers}: {}{note}", self.words())
    }

    /// `sent`, or with several fates `3 sent, 1 lost`.
    fn words(&self) -> String {
        if self.fates.len() == 1 {
            return self.worst().name().to_owned();
        }
        let parts = self.fates.iter().map(|(fate, count)| format!("{count} {}", fate.name()));
        parts.collect::<Vec<_>>().join(", ")
    }

    /// For programs: `sent:3 lost:1`.
    fn data(&self) -> String {
        let parts = self.fates.iter().map(|(fate, count)| format!("{}:{count}", fate.key()));
        parts.collect::<Vec<_>>().join(" ")
    }
}

/// The cells, each for `each` frames; the last one may have fewer.
fn cells(runs: &[Run], each: u64) -> Vec<Cell> {
    let frames = runs.iter().enumerate().flat_map(|(at, run)| (run.first..=run.last).map(move |id| (id, at)));
    let mut cells: Vec<Cell> = Vec::new();
    let mut room = 0;
    for (id, at) in frames {
        let Some(fate) = runs.get(at).map(|run| run.fate) else { continue };
        match cells.last_mut().filter(|_| room > 0) {
            Some(cell) => {
                room -= 1;
                cell.last = id;
                if fate > cell.worst() {
                    cell.run = at;
                }
                *cell.fates.entry(fate).or_default() += 1;
            }
            None => {
                room = each - 1;
                cells.push(Cell { first: id, last: id, run: at, fates: BTreeMap::from([(fate, 1)]) });
            }
        }
    }
    cells
}

/// Legend and strip.
pub(super) fn strip(runs: &[Run]) -> Markup {
    let counts = counts(runs);
    let all: u64 = counts.values().sum();
    let each = all.div_ceil(MOST_CELLS).max(1);
    let cells = cells(runs, each);
    html! {
        ul.legend {
            @for (fate, count) in Fate::ALL.iter().filter_map(|fate| Some((fate, counts.get(fate)?))) {
                li data-fate=(fate.key()) data-count=(count) title=(fate.meaning()) {
                    span.f.(fate.key()) {} b { (count) } " " (fate.name())
                }
            }
            @if all == 0 { li.quiet { "no frame was sent" } }
        }
        div.strip.dense[cells.len() > MANY_CELLS] role="group"
            aria-label={ (all) " frames in the order in which they were given, by what became of each" } {
            @for (at, cell) in cells.iter().enumerate() {
                @if at.is_multiple_of(ROW) { span.at.(width(at)) { (cell.first) } }
                a.f.(cell.worst().key()).mixed[cell.fates.len() > 1] href={ "#run-" (cell.run + 1) } tabindex="-1"
                    title=(cell.title(runs)) data-fates=(cell.data()) {}
            }
        }
        @if all > 0 {
            p.quiet {
                "Each cell is " @if each == 1 { "a frame" } @else { (each) " frames" }
                ", in the order in which they were given to the sender. "
                @if each > 1 { "A cell with frames of several fates has the colour of the worst and a bar below. " }
                "A click leads to the frame's row in the table of " a href="#frames" { "all frames" } "."
            }
        }
    }
}

/// The widest row that begins at this cell: shorter rows begin there too.
const fn width(at: usize) -> &'static str {
    if at.is_multiple_of(4 * ROW) {
        "w100"
    } else if at.is_multiple_of(2 * ROW) {
        "w50"
    } else {
        "w25"
    }
}

/// The table of all frames, by runs of the same fate.
pub(super) fn table(runs: &[Run]) -> Markup {
    html! {
        details.fold #frames {
            summary { "All frames, with what is known of each (" (runs.len()) " rows)" }
            table {
                tr { th { "frames" } th { "count" } th.text { "fate" } th.text { "besides" } }
                @for (at, run) in runs.iter().enumerate() {
                    tr id={ "run-" (at + 1) } {
                        td { (run.numbers()) }
                        td { (run.len()) }
                        td.text { span.f.(run.fate.key()) {} (run.fate.name()) }
                        td.text { (run.note) }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(first: u64, last: u64, fate: Fate) -> Run {
        Run { first, last, fate, note: String::new() }
    }

    #[test]
    fn a_frame_is_a_cell_until_there_are_too_many() {
        let runs = [run(1, 400, Fate::Sent), run(401, 1000, Fate::TakenBack)];
        assert_eq!(cells(&runs, 1).len(), 1000);
        let text = strip(&runs).into_string();
        assert_eq!(text.matches("<a class=\"f ").count(), 1000);
        assert!(text.contains("title=\"frame 401: taken back\"") && text.contains("href=\"#run-2\""));
    }

    #[test]
    fn thousands_of_frames_share_cells_and_none_is_missing() {
        let runs =
            [run(1, 4999, Fate::Sent), run(5000, 5000, Fate::Lost), run(5001, 7001, Fate::NeverPosted)];
        let cells = cells(&runs, 8);
        assert!(cells.len() <= 1000);
        let mut sum: BTreeMap<Fate, u64> = BTreeMap::new();
        cells
            .iter()
            .flat_map(|cell| &cell.fates)
            .for_each(|(fate, count)| *sum.entry(*fate).or_default() += count);
        assert_eq!(sum, counts(&runs));
        let worst = cells.iter().find(|cell| cell.fates.len() > 1).unwrap();
        assert_eq!((worst.worst(), worst.run), (Fate::Lost, 1));
        assert_eq!(worst.title(&runs), "frames 4993 to 5000: 7 sent, 1 lost");
    }

    #[test]
    fn each_row_of_each_width_begins_with_a_number() {
        assert_eq!([0, 25, 50, 75, 100].map(width), ["w100", "w25", "w50", "w25", "w100"]);
    }
}
