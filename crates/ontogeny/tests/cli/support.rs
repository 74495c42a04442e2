//! A sandbox with a small store in it, and the command to run there.

use ontogeny_analysis::distribution::gaussian_event;
use ontogeny_analysis::scores::judge;
use ontogeny_core::{
    Direction, FixedClock, Forecast, LedgerBody, Observed, Outcome, RunId, ScoringRule, Seeds,
    Step, StudyId, Target, TheoryRef, ThresholdRule,
};
use ontogeny_engine::{LanePlan, Objective};
use ontogeny_lab::{Conductor, RunPlan, RunRecord, StopRule, Unobserved, Unwatched};
use ontogeny_store::Store;
use ontogeny_train::models::{Activation, MlpConfig, ModelConfig};
use ontogeny_train::tasks::TaskConfig;
use ontogeny_train::tasks::sparse_parity::SparseParityConfig;
use ontogeny_train::{OptimizerConfig, RecordPlan, RunConfig};
use std::path::PathBuf;
use std::process::Command;

/// The same moment for every manifest and ledger entry.
const CLOCK: FixedClock = FixedClock(1.7e9);

/// A folder of its own; paths in messages are relative to it, so they are the same everywhere.
pub(crate) struct Sandbox {
    pub(crate) dir: tempfile::TempDir,
}

/// What the command said and how it ended.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Answer {
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, 0, "{}{}", self.stdout, self.stderr);
        self.stdout
    }

    #[track_caller]
    pub(crate) fn json(self) -> serde_json::Value {
        serde_json::from_str(&self.ok()).unwrap()
    }

    /// What went wrong; nothing may have been answered, and nobody is shown the insides.
    #[track_caller]
    pub(crate) fn fails_with(self, code: i32) -> String {
        assert_eq!(self.code, code, "{}{}", self.stdout, self.stderr);
        assert_eq!(self.stdout, "");
        for inside in ["Error {", "Some(", "Os {", "PathBuf", "panicked", "StoreError", "LabError"]
        {
            assert!(!self.stderr.contains(inside), "{}", self.stderr);
        }
        self.stderr
    }
}

impl Sandbox {
    /// Without a store.
    pub(crate) fn empty() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    /// With a store that holds the runs `tiny.s0` and `tiny.s1`.
    pub(crate) fn with_runs() -> Self {
        let sandbox = Self::empty();
        let store = Store::open_or_create(&sandbox.path("ontogeny-store")).unwrap();
        for seed in [0, 1] {
            conduct(&store, &plan(seed));
        }
        sandbox
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Puts a file there, with its folders.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    pub(crate) fn store(&self) -> Store {
        Store::open(&self.path("ontogeny-store")).unwrap()
    }

    /// The command in this folder, with nothing from the environment that could matter.
    pub(crate) fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ontogeny"));
        command.args(arguments.split_whitespace()).current_dir(self.dir.path());
        command.env_remove("ONTOGENY_STORE").env("NO_COLOR", "1").env("COLUMNS", "100");
        command
    }

    pub(crate) fn run(&self, arguments: &str) -> Answer {
        answer(&mut self.command(arguments))
    }
}

pub(crate) fn answer(command: &mut Command) -> Answer {
    let output = command.output().unwrap();
    Answer {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

pub(crate) fn run_id(name: &str) -> RunId {
    RunId::new(name).unwrap()
}

/// Sixty updates of a network that learns a few parities.
pub(crate) fn plan(seed: u64) -> RunPlan {
    let task = SparseParityConfig {
        n_tasks: 4,
        n_bits: 8,
        batch_examples: 32,
        eval_examples_per_task: 16,
        ..SparseParityConfig::zipf(0.6)
    };
    let rule = |event: &str, series: &str, direction, level| ThresholdRule {
        event: event.into(),
        series: series.into(),
        direction,
        level,
        persistence: 3,
    };
    RunPlan {
        id: run_id(&format!("tiny.s{seed}")),
        study: StudyId::new("tiny"),
        role: "fit".into(),
        cell: "wd0.1".into(),
        config: RunConfig {
            task: TaskConfig::SparseParity(task),
            model: ModelConfig::Mlp(MlpConfig { widths: vec![16], activation: Activation::Relu }),
            init_scale: 1.0,
            objective: Objective::CrossEntropy.into(),
            optimizer: OptimizerConfig::adamw(1e-3, 0.1),
            horizon: 60,
            lanes: LanePlan { lanes: 1, chunk_examples: 32 },
            record: RecordPlan::every(10, 20, &["set_loss", "skill_losses"]),
        },
        seeds: Seeds::all(seed),
        fork: None,
        rules: vec![
            rule("T_start", "skills.loss", Direction::Falling, 10.0),
            rule("T_learn", "skills.accuracy", Direction::Rising, 0.999),
        ],
        stop: StopRule::Horizon,
    }
}

pub(crate) fn conduct(store: &Store, plan: &RunPlan) -> RunRecord {
    let ledger = store.ledger();
    let conductor = Conductor { store, ledger: &ledger, clock: &CLOCK, watch: &Unwatched };
    conductor.conduct(plan, &mut Unobserved).unwrap()
}

/// Enters two forecasts about `record`, one honest and one that read something else, with their outcomes.
pub(crate) fn claim(store: &Store, record: &RunRecord) {
    let ledger = store.ledger();
    let horizon = Step(60);
    let names = ["climatology", "persistence", "delta", "hparams-only", "extrapolation"];
    let event = |sigma| gaussian_event(3.5, sigma, Step(20), horizon);
    for (theory, prefix_hash) in [
        ("honest", record.prefix(Step(20)).hash().to_owned()),
        ("peeking", record.prefix(Step(60)).hash().to_owned()),
    ] {
        let forecast = Forecast {
            id: format!("tiny/{}/{theory}/T_learn@20", record.id()),
            property: "learning time".into(),
            theory: TheoryRef {
                name: theory.into(),
                version: 1,
                hash: theory.into(),
                n_params: 1,
                fitted_on: vec![run_id("elsewhere")],
                own_fit: None,
            },
            run: record.id().clone(),
            cell: record.manifest.cell.clone(),
            target: Target::EventTime { event: "T_learn".into(), horizon },
            cutoff: Step(20),
            cutoff_name: "step 20".into(),
            prefix_hash,
            sealed_at: Step(30),
            predictive: Some(event(0.2)),
            baselines: names.iter().map(|n| ((*n).to_owned(), event(0.4))).collect(),
            rule: ScoringRule::IntegratedBrier,
            acceptance: None,
            family: "tiny".into(),
        };
        let outcome = Outcome {
            forecast: forecast.id.clone(),
            observed: Observed::Never { horizon },
            known_at: horizon,
        };
        let again = record.prefix(Step(20));
        let score = judge(&forecast, &outcome, Some(again.hash()));
        for body in [
            LedgerBody::Forecast(Box::new(forecast)),
            LedgerBody::Outcome(outcome),
            LedgerBody::Score(score),
        ] {
            ledger.append(body, &CLOCK).unwrap();
        }
    }
}
