//! Makes a small store, to look at with other tools: `cargo run -p ontogeny_store --example make_store -- demo`.

use ontogeny_core::{
    Censoring, Clocks, Event, FixedClock, LedgerBody, RunId, RunManifest, RunStatus, Seeds, Step,
    Versions,
};
use ontogeny_store::{OwnedTensor, Store, StoreError};
use std::path::PathBuf;

fn main() -> Result<(), StoreError> {
    let path =
        std::env::args_os().nth(1).map_or_else(|| PathBuf::from("demo-store"), PathBuf::from);
    let store = Store::open_or_create(&path)?;
    for seed in 0..3 {
        let Some(run) = RunId::new(format!("demo-s{seed}")) else { continue };
        let resumed = run.clone();
        let mut writer = store.create_run(&RunManifest {
            format_version: RunManifest::FORMAT_VERSION,
            run: run.clone(),
            study: None,
            role: "fit".to_owned(),
            cell: "demo".to_owned(),
            config: serde_json::json!({ "lr": 0.001 }),
            seeds: Seeds::all(seed),
            fork: None,
            rules: Vec::new(),
            versions: Versions { ontogeny: "demo".to_owned(), engine: "none".to_owned() },
            created_unix_secs: 0.0,
            step: Step(0),
            clocks: Clocks::default(),
            status: RunStatus::Open,
            unread: std::collections::BTreeMap::new(),
        })?;
        for t in 0..=1000 {
            let clocks = Clocks {
                n_examples: t * 512,
                flop: t as f64 * 1e9,
                lr_time: t as f64 * 1e-3,
                wall_secs: 0.0,
            };
            let loss = (-(t as f64) / 200.0).exp() + seed as f64 * 0.01;
            writer.append(Step(t), clocks, &[("train.loss", "nats", loss), ("lr", "1", 1e-3)])?;
            if t % 100 == 0 {
                let spectrum = [loss as f32, 0.5, f32::NAN, 0.0];
                writer.append_tensor(Step(t), "spectrum", "1", &[2, 2], &spectrum)?;
                let weights = OwnedTensor::from_f32("w", &[4], &spectrum);
                writer.checkpoint(
                    Step(t),
                    &[weights.view()],
                    serde_json::json!({ "cursor": t }),
                )?;
            }
            if t == 600 {
                writer.seal()?;
            }
        }
        writer.write_events(&[
            Event {
                run: run.clone(),
                name: "T_half".to_owned(),
                series: "train.loss".to_owned(),
                when: Censoring::Interval { lo: Step(138), hi: Step(139) },
                known_at: Step(141),
                detector: "threshold(falling, 0.5, w=3)".to_owned(),
                evidence: 0.499,
            },
            Event {
                run,
                name: "T_zero".to_owned(),
                series: "train.loss".to_owned(),
                when: Censoring::Right { horizon: Step(1000) },
                known_at: Step(1000),
                detector: "threshold(falling, 0, w=3)".to_owned(),
                evidence: 0.0067,
            },
        ])?;
        writer.seal()?;
        // Many small segments are merged.
        for t in 1001..=1010 {
            writer.append(Step(t), Clocks::default(), &[("train.loss", "nats", f64::NAN)])?;
            writer.seal()?;
        }
        // Whoever resumes may record a step again, later than others.
        drop(writer);
        let mut writer = store.resume_run(&resumed)?;
        writer.append(Step(450), Clocks::default(), &[("train.loss", "nats", 0.125)])?;
        writer.seal()?;
        let body =
            LedgerBody::Note { about: "demo".to_owned(), text: format!("seed {seed} is done") };
        store.ledger().append(body, &FixedClock(0.0))?;
    }
    Ok(())
}
