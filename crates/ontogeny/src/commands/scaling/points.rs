//! Reads points from a table: CSV, plain or gzipped.

use crate::failure::Failure;
use crate::names;
use anyhow::Context;
use flate2::read::MultiGzDecoder;
use ontogeny_analysis::scaling::{Point, Scale};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Largest table, unpacked.
const MAX_BYTES: u64 = 256 << 20;

/// Which table, which columns, which rows.
#[derive(Debug, clap::Args)]
pub(super) struct Source {
    /// Table of runs, one row each: CSV or CSV.gz with a header
    file: PathBuf,

    /// Column of parameters N [default: params, if there]
    #[arg(long, value_name = "COL")]
    params: Option<String>,

    /// Column of training tokens D [default: tokens, if there; else C/6N]
    #[arg(long, value_name = "COL")]
    tokens: Option<String>,

    /// Column of training FLOP C [default: flops, if there; else 6ND]
    #[arg(long, value_name = "COL")]
    flops: Option<String>,

    /// Column of the loss
    #[arg(long, value_name = "COL", default_value = "loss")]
    loss: String,

    /// Only rows with this value in a column; may be given several times
    #[arg(long = "where", value_name = "COL=VALUE")]
    filters: Vec<String>,
}

impl Source {
    /// Name of the file, for headings.
    pub(super) fn name(&self) -> String {
        self.file.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned())
    }

    /// The points, in the order of the rows.
    pub(super) fn read(&self) -> anyhow::Result<Vec<Point>> {
        let bytes = unpacked(&self.file)?;
        let file = self.file.display();
        let mut reader = csv::ReaderBuilder::new().flexible(false).from_reader(&bytes[..]);
        let bad_csv = |e: &csv::Error| Failure::data(format!("{file} is not a table: {e}"));
        let header: Vec<String> = reader
            .headers()
            .map_err(|e| bad_csv(&e))?
            .iter()
            .map(|h| h.trim().to_owned())
            .collect();
        let column = |name: &str| {
            header.iter().position(|h| h == name).ok_or_else(|| {
                names::unknown("column", name, header.iter().map(String::as_str))
                    .help(format!("{file} has {}", header.join(", ")))
            })
        };
        let chosen = |flag: Option<&String>, usual: &str| match flag {
            Some(name) => column(name).map(Some),
            None => Ok(header.iter().position(|h| h == usual)),
        };
        let inputs = [
            ("params", chosen(self.params.as_ref(), "params")?),
            ("tokens", chosen(self.tokens.as_ref(), "tokens")?),
            ("flops", chosen(self.flops.as_ref(), "flops")?),
        ];
        if inputs.iter().all(|i| i.1.is_none()) {
            let what = format!("{file} has none of the columns params, tokens, flops");
            let help =
                format!("name them with --params, --tokens, --flops; it has {}", header.join(", "));
            return Err(Failure::usage(what).help(help).into());
        }
        let loss = column(&self.loss)?;
        let mut filters = Vec::new();
        for filter in &self.filters {
            let (name, value) = filter.split_once('=').ok_or_else(|| {
                Failure::usage(format!("`{filter}` does not say which value"))
                    .help("write --where COL=VALUE")
            })?;
            filters.push((column(name)?, value));
        }
        let mut points = Vec::new();
        for record in reader.records() {
            let record = record.map_err(|e| bad_csv(&e))?;
            if !filters.iter().all(|(k, value)| &record[*k] == *value) {
                continue;
            }
            let line = record.position().map_or(0, csv::Position::line);
            let number = |k: usize| -> Result<f64, Failure> {
                let text = record[k].trim();
                let value = text.parse::<f64>().ok().filter(|v| v.is_finite() && *v > 0.0);
                value.ok_or_else(|| {
                    let found = if text.is_empty() { "nothing".to_owned() } else { format!("`{text}`") };
                    Failure::data(format!(
                        "{file}, line {line}, column {}: {found} where a number above zero is needed", header[k]
                    ))
                    .help("correct the row, or leave it out with --where")
                })
            };
            let mut at = [f64::NAN; 3];
            for (slot, (_, k)) in at.iter_mut().zip(&inputs) {
                if let Some(k) = k {
                    *slot = number(*k)?;
                }
            }
            points.push(Point { at: completed(at), loss: number(loss)? });
        }
        if points.is_empty() {
            let what = format!("{file} has no row left to fit");
            return Err(Failure::usage(what)
                .help("look at the values that --where asks for")
                .into());
        }
        Ok(points)
    }
}

/// The third of N, D, C from the other two by C = 6 N D.
fn completed([params, tokens, flops]: [f64; 3]) -> Scale {
    let known = |v: f64, other: f64| if v.is_nan() { other } else { v };
    Scale {
        params: known(params, flops / (6.0 * tokens)),
        tokens: known(tokens, flops / (6.0 * params)),
        flops: known(flops, 6.0 * params * tokens),
    }
}

/// The bytes of a file; gzip is known by its first two.
fn unpacked(path: &Path) -> anyhow::Result<Vec<u8>> {
    let file = path.display();
    let too_large = || Failure::data(format!("{file} holds more than {} MB", MAX_BYTES >> 20));
    let open = File::open(path);
    let open = open.map_err(|e| Failure::usage(format!("{file} cannot be opened: {e}")))?;
    let mut bytes = Vec::new();
    open.take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .with_context(|| format!("failed to read {file}"))?;
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut text = Vec::new();
        let mut inside = MultiGzDecoder::new(&bytes[..]).take(MAX_BYTES + 1);
        let broken =
            |e: std::io::Error| Failure::data(format!("{file} is a damaged gzip file: {e}"));
        inside.read_to_end(&mut text).map_err(broken)?;
        bytes = text;
    }
    if bytes.len() as u64 > MAX_BYTES {
        return Err(too_large().into());
    }
    Ok(bytes)
}
