//! `ontogeny report`: draws a study again from its findings.

use crate::face::{Face, write_json};
use crate::failure::Failure;
use crate::names;
use crate::text::Table;
use ontogeny_core::{Findings, StudyId};
use ontogeny_store::Store;
use serde_json::{Value, json};
use std::io::Write;
use std::path::PathBuf;

/// Draw a study's report again, or list the studies that the store holds
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  ontogeny report\n  ontogeny report skills-smoke-s0\n  ontogeny report skills-study-s0 --markdown > skills.md"
)]
pub(crate) struct Args {
    /// The study's name in the store
    study_id: Option<String>,

    /// Print the findings as Markdown: sentences, tables and captions
    #[arg(long, requires = "study_id", conflicts_with = "json")]
    markdown: bool,
}

pub(crate) fn run(args: &Args, face: &Face, out: &mut dyn Write) -> anyhow::Result<()> {
    let store = face.store()?;
    let Some(name) = &args.study_id else { return list(&store, face, out) };
    let id = known(&store, name)?;
    let findings = store.study(&id).findings()?.ok_or_else(|| {
        Failure::usage(format!("study {id} is not finished: it has no findings yet"))
            .help("the `ontogeny run` that began it goes on from where it was")
    })?;
    if args.markdown {
        return Ok(out.write_all(ontogeny_report::markdown(&findings).as_bytes())?);
    }
    let report = draw(&store, &id, &findings)?;
    if face.json {
        write_json(out, &json!({ "id": id, "report": report }))?;
    } else {
        writeln!(out, "{}", report.display())?;
    }
    Ok(())
}

/// A study that the store holds.
pub(crate) fn known(store: &Store, name: &str) -> anyhow::Result<StudyId> {
    let id = names::study_id(name)?;
    if !store.study(&id).exists() {
        let all = store.studies()?;
        let unknown = names::unknown("study", name, all.iter().map(StudyId::as_str));
        return Err(unknown
            .help("`ontogeny report` lists the studies that the store holds")
            .into());
    }
    Ok(id)
}

/// Renders findings and writes report and figures into the folder of the study.
pub(crate) fn draw(store: &Store, id: &StudyId, findings: &Findings) -> anyhow::Result<PathBuf> {
    let rendered = ontogeny_report::render(findings)?;
    let folder = store.study(id);
    for figure in &rendered.figures {
        folder.write_figure(&format!("{}.svg", figure.name), figure.svg.as_bytes())?;
        folder.write_figure(&format!("{}.png", figure.name), &figure.png)?;
    }
    Ok(folder.write_report(&rendered.html)?)
}

fn list(store: &Store, face: &Face, out: &mut dyn Write) -> anyhow::Result<()> {
    let mut table = Table::new(["study", "title", "report"]);
    let mut rows: Vec<Value> = Vec::new();
    for id in store.studies()? {
        let folder = store.study(&id);
        let report = folder.report_path();
        // Damaged findings hurt no other study.
        let title = match folder.findings() {
            Ok(Some(findings)) => findings.title,
            Ok(None) => "not finished".to_owned(),
            Err(e) => format!("damaged: failed to {e}"),
        };
        let drawn = report.is_file().then(|| report.display().to_string());
        rows.push(json!({ "id": id, "title": title, "report": drawn }));
        table.row([id.to_string(), title, drawn.unwrap_or_default()]);
    }
    if face.json {
        write_json(out, &rows)?;
    } else if table.is_empty() {
        writeln!(out, "no study yet; `ontogeny studies` lists what can be run")?;
    } else {
        table.write(out, "")?;
    }
    Ok(())
}
