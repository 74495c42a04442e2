//! The robustness study at a reduced size, from images to findings, and its laws.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bench;

use bench::{Bench, bits, quiet_plan as plan, small_study, tables};
use ontogeny_core::{Curve, FixedClock, LedgerBody, RunId, Schedule, Step, Target};
use ontogeny_lab::studies::{StudyOptions, Tier, conduct_study, study};
use ontogeny_lab::{Conductor, ForkPlan, RunPlan, StopRule, Unwatched};
use ontogeny_store::Store;
use ontogeny_train::models::{Activation, MlpConfig, ModelConfig};
use ontogeny_train::tasks::glyphs::GlyphsConfig;
use ontogeny_train::tasks::{TaskConfig, Threat};
use ontogeny_train::{CertifiedConfig, RecordPlan, RunConfig};

const PROBES: [&str; 5] = ["set_loss", "certified", "interval_bounds", "goal_conflict", "attacked"];

fn config() -> RunConfig {
    let task = GlyphsConfig {
        side: 8,
        n_train: 200,
        batch_examples: 16,
        n_probe: 16,
        n_audit: 16,
        threat: Threat { n_watched: 16, n_steps: 3, ..Threat::of(0.05) },
        ..GlyphsConfig::small(0.05)
    };
    let eps = Curve::Ramp { from: 0.0, value: 0.05, start: 5, until: 30 };
    let kappa = Curve::Ramp { from: 1.0, value: 0.5, start: 5, until: 30 };
    RunConfig {
        task: TaskConfig::Glyphs(task),
        model: ModelConfig::Mlp(MlpConfig { widths: vec![16, 16], activation: Activation::Relu }),
        objective: CertifiedConfig::ibp(Schedule::Curve(eps), Schedule::Curve(kappa)).into(),
        horizon: 50,
        record: RecordPlan { probe_at: vec![12, 25], ..RecordPlan::every(10, 0, &PROBES) },
        ..bench::config()
    }
}

#[test]
fn law_1_probes_of_robustness_are_invisible() {
    let bench = Bench::new();
    let mut blind = config();
    blind.record.probes.clear();
    blind.record.probe_at.clear();
    let seeing = bench.go(&plan("seeing", config()));
    bench.go(&plan("blind", blind));
    assert_eq!(bench.hash("seeing", 50), bench.hash("blind", 50));
    for name in ["probe.certified", "probe.radius.2", "probe.relu.unstable.1"] {
        let steps: Vec<u64> = seeing.series[name].points.iter().map(|p| p.step.0).collect();
        assert_eq!(steps, [0, 10, 12, 20, 25, 30, 40, 50], "{name}");
    }
    // The audit split is certified once, and no attack breaks what is certified there.
    for (name, all) in [("audit.certified", None), ("audit.certified.broken", Some(0.0))] {
        let points = &seeing.series[name].points;
        assert_eq!(points.len(), 1, "{name}");
        assert!(points[0].step == Step(50) && all.is_none_or(|v| points[0].value == v), "{name}");
    }
}

#[test]
fn law_2_forks_are_exact_from_rung_to_rung() {
    let bench = Bench::new();
    let whole = bench.go(&plan("whole", config()));
    let step = |name: &str, stop: StopRule, parent: Option<(&str, u64)>| {
        let fork = parent.map(|(parent, at)| ForkPlan {
            parent: RunId::new(parent).unwrap(),
            step: Step(at),
            set: Vec::new(),
        });
        bench.go(&RunPlan { stop, fork, ..plan(name, config()) })
    };
    // 13 is no step at which the run would be read otherwise.
    let first = step("first", StopRule::At(Step(13)), None);
    let second = step("second", StopRule::At(Step(25)), Some(("first", 13)));
    let third = step("third", StopRule::Horizon, Some(("second", 25)));
    let ends = [&first, &second, &third].map(|r| r.manifest.step.0);
    assert_eq!(ends, [13, 25, 50]);
    assert_eq!(bench.hash("third", 50), bench.hash("whole", 50));
    assert_eq!(third.manifest.clocks.flop, whole.manifest.clocks.flop);
    // What is read on the way is what the whole run read.
    let (all, late) = (bits(&whole.series), bits(&third.series));
    let is_science = |name: &&String| name.starts_with("probe.") || name.starts_with("audit.");
    for name in all.keys().filter(is_science) {
        let since: Vec<_> = all[name].iter().filter(|p| p.0 >= 25).collect();
        assert!(late[name].iter().filter(|p| p.0 >= 25).eq(since), "{name}");
    }
    // No audit before the end: it would cost, and nobody may look.
    assert!(!first.series.contains_key("audit.certified"));
}

#[test]
fn a_study_of_robustness_goes_from_images_to_findings() {
    let folder = tempfile::tempdir().unwrap();
    let (findings, entries) = small_study("robustness", folder.path());
    let mut n_designs = 0;
    for e in &entries {
        match &e.body {
            LedgerBody::Forecast(f) => {
                let Target::Value { series, at, .. } = &f.target else { panic!("{:?}", f.target) };
                let is_asked = ["audit.certified", "audit.accuracy"].contains(&series.as_str());
                assert!(is_asked && f.sealed_at < *at, "{}", f.id);
                for wanted in ["persistence", "config-forest", "proxy-run"] {
                    assert!(f.baselines.iter().any(|(n, _)| n == wanted), "{}: {wanted}", f.id);
                }
            }
            LedgerBody::Score(s) => assert_eq!(s.refused, None, "{}", s.forecast),
            LedgerBody::Design(d) => {
                n_designs += 1;
                assert!(d.recipe.contains_key("objective.eps") && d.seeds.len() == 2);
            }
            LedgerBody::DesignOutcome(o) => {
                assert!([&o.recipe, &o.random, &o.default].iter().all(|r| r.len() == 2));
            }
            _ => {}
        }
    }
    assert_eq!(n_designs, 1);
    let tables = tables(&findings);
    let with = |column: &str| tables.iter().find(|t| t.columns[0] == column).unwrap();
    let arms = with("intervention");
    for wanted in ["slower_ramp", "no_natural_loss", "sabr", "placebo"] {
        assert!(arms.rows.iter().any(|r| r[0] == wanted), "{wanted}: {:?}", arms.rows);
    }
    // A placebo is its parent.
    let placebo = arms.rows.iter().find(|r| r[0] == "placebo").unwrap();
    assert_eq!([&placebo[3], &placebo[4]], ["+0.000 [+0.000, +0.000]"; 2]);
    // Everybody spends what the search has spent.
    let ledger = with("who");
    assert_eq!(ledger.rows.len(), 4);
    for row in &ledger.rows {
        let share: f64 = row[5].trim_end_matches(" %").parse().unwrap();
        assert!(share.abs() < 1.0, "{row:?}");
    }
    let expected = with("expected");
    let broken = expected.rows.iter().find(|r| r[0].contains("that an attack broke")).unwrap();
    assert_eq!(broken[2], "holds");
    // What is finished is read, and nothing is entered twice.
    let (again, entries_again) = small_study("robustness", folder.path());
    assert_eq!(entries_again.len(), entries.len());
    assert_eq!(again.headline, findings.headline);
}

#[test]
fn a_folder_of_data_is_asked_for_where_it_is_needed_and_refused_where_it_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_or_create(folder.path()).unwrap();
    let ledger = store.ledger();
    let conductor =
        Conductor { store: &store, ledger: &ledger, clock: &FixedClock(0.0), watch: &Unwatched };
    let refused = |name: &str, tier: Tier, data: Option<&str>| {
        let data = data.map(str::to_owned);
        let options = StudyOptions { tier, seed: 0, n_seeds: Some(1), threads: 1, data };
        let error = conduct_study(study(name).unwrap(), conductor, options).unwrap_err();
        let mut said = error.to_string();
        let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(&error);
        while let Some(c) = cause {
            said = format!("{said}: {c}");
            cause = c.source();
        }
        said
    };
    assert_eq!(
        refused("robustness", Tier::Paper, None),
        "study robustness at tier paper reads its data: give --data FOLDER with the four files of MNIST, plain or with .gz"
    );
    assert_eq!(
        refused("bias", Tier::Smoke, Some("mnist")),
        "study bias draws its data itself: leave out --data"
    );
    assert!(refused("robustness", Tier::Smoke, Some("no/such/folder")).contains("no/such/folder"));
}
