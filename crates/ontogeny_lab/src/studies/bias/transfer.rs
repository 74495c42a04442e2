//! How forecasts carry over to networks and data of which nothing was fitted.

use super::findings::ASKED_AT;
use super::tables::{Answers, find, table};
use super::{ASKED, Evidence, FREE, MAIN, origin};
use crate::voices::Standing;
use ontogeny_core::{Block, Figure, FigureBody, Line};

/// How forecasts of a property carried over to images.
pub(super) fn carried(images: &[Answers], short: &str) -> Option<String> {
    let a = find(images, short, ASKED_AT)?;
    let s = a.voices.score(MAIN)?;
    let (best, (d, lo, hi)) = a.voices.gain_over(MAIN, &FREE)?;
    let (property, at) = (a.asked.property, origin(ASKED_AT));
    let verb = match (a.voices.standing(MAIN), lo > 0.0, hi < 0.0) {
        (Some(Standing::Withheld), ..) => "nothing was sealed; what would have been said",
        (_, true, _) => "what was learned on two blocks predicts it; it",
        (_, _, true) => "what was learned on two blocks is worse than the best baseline; it",
        _ => "what was learned on two blocks is not distinguishable from the best baseline; it",
    };
    Some(format!(
        "{property} of convolutional networks on images, from {at} of a run, without refitting: {verb} has R² {:.2} on {} \
         runs, {d:+.2} [{lo:+.2}, {hi:+.2}] over {best}; 90 % intervals cover {:.2}.",
        s.r2, s.n, s.cov90
    ))
}

pub(super) fn transfer(e: &Evidence<'_>, images: &[Answers]) -> Vec<Block> {
    let mut blocks = vec![Block::Text(format!(
        "The forecasters above, as they were fitted, asked about {} convolutional networks that learn to tell two classes \
         of drawn figures on tinted grounds (the tint is the shortcut). Nothing of images was fitted, chosen or \
         calibrated. Forecasts were sealed as for the test runs. B4, B5 and B7 were not made.",
        e.images.len()
    ))];
    for asked in &ASKED {
        blocks.push(Block::Table(table(images, asked, "image runs, without refitting")));
        let groups = images.iter().filter(|a| a.asked.short == asked.short).filter_map(|a| {
            let points = a.voices.points(MAIN)?;
            Some(Line { name: format!("from {}", origin(a.share)), points, ..Line::default() })
        });
        blocks.push(Block::Figure(Figure {
            name: format!("transfer-{}", asked.short),
            caption: format!(
                "Final {} of the image runs: what {MAIN} said (median) against what came out.",
                asked.property
            ),
            body: FigureBody::Scatter {
                x_label: "forecast".into(),
                y_label: "outcome".into(),
                log: false,
                diagonal: true,
                groups: groups.collect(),
            },
        }));
    }
    blocks
}
