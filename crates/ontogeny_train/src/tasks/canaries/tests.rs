use super::*;
use std::io::Write;

fn small() -> CanariesConfig {
    CanariesConfig {
        n_bytes: 20_000,
        counts: vec![1, 4, 16],
        n_controls: 20,
        ..CanariesConfig::standard(90, 2)
    }
}

/// Windows of a batch as text, targets read back where they are asked.
fn windows(batch: &Batch) -> Vec<String> {
    let Inputs::Tokens { ids, n_ctx } = &batch.inputs else { panic!() };
    let text = |w: &[u32]| w.iter().map(|b| char::from(*b as u8)).collect();
    ids.chunks(*n_ctx).map(text).collect()
}

/// How often each canary occurs in the batches of some steps.
fn occurrences(task: &CanariesTask, steps: std::ops::Range<u64>) -> Vec<usize> {
    let mut n = vec![0; task.strings.len()];
    for step in steps {
        for w in windows(&task.batch(step)) {
            let found = task.strings.iter().position(|s| w.as_bytes().starts_with(s));
            if let Some(i) = found {
                n[i] += 1;
            }
        }
    }
    n
}

#[test]
fn canaries_occur_as_often_and_where_they_are_planned() {
    let config = small();
    let task = config.build(3).unwrap();
    let all = occurrences(&task, 0..90);
    let planned: Vec<usize> = config.canaries().iter().map(|c| c.count as usize).collect();
    assert_eq!(all, planned);
    let steps = config.insertions(3);
    for (c, steps) in config.canaries().iter().zip(&steps) {
        let (from, to) = c.placement.steps(90);
        assert_eq!(steps.len(), c.count as usize);
        assert!(steps.iter().all(|s| (from..to).contains(s)), "{c:?}: {steps:?}");
    }
    // Repeated windows occur as a whole, as often as they should.
    for (i, count) in config.duplicates().into_iter().enumerate() {
        let w = task.window(task.first_reserved + i);
        let text: String = w[..WINDOW - 1].iter().map(|b| char::from(*b)).collect();
        let n = (0..90).flat_map(|s| windows(&task.batch(s))).filter(|w| *w == text).count();
        assert_eq!(n, count as usize, "repeated window {i}");
    }
}

#[test]
fn treatments_change_what_they_declare_and_nothing_before() {
    let plain = small();
    let with = |change: &dyn Fn(&mut Treatments)| {
        let mut c = small();
        change(&mut c.treatments);
        c.check().unwrap();
        c.build(3).unwrap()
    };
    let parent = plain.build(3).unwrap();
    let dedup = with(&|t| t.dedup_from = Some(30));
    let goldfish = with(&|t| t.goldfish_from = Some(30));
    let early = with(&|t| t.moved = Some(Move { from: 30, late: false }));
    let late = with(&|t| t.moved = Some(Move { from: 30, late: true }));
    let unlearn = with(&|t| {
        t.unlearn = Some(Unlearn { from: 30, n_steps: 5, relearned: 0.05 });
    });
    for other in [&dedup, &goldfish, &early, &late, &unlearn] {
        for step in 0..30 {
            assert_eq!(parent.batch(step), other.batch(step));
        }
        assert!((30..40).any(|s| parent.batch(s) != other.batch(s)));
    }
    // Deduplicated: nobody comes again, and those that had not come yet come once.
    let (before, after) = (occurrences(&dedup, 0..30), occurrences(&dedup, 30..90));
    for (b, a) in before.iter().zip(&after) {
        assert_eq!(*a, usize::from(*b == 0));
    }
    // Moved: as many, all in one half of the rest.
    assert_eq!(occurrences(&early, 0..90), occurrences(&parent, 0..90));
    assert_eq!(occurrences(&late, 0..90), occurrences(&parent, 0..90));
    assert_eq!(occurrences(&early, 60..90), vec![0; parent.strings.len()]);
    assert_eq!(occurrences(&late, 30..60), vec![0; parent.strings.len()]);
    // Unlearned: the digits of canaries, climbed; then a few canaries in every batch and no others.
    assert!(unlearn.ascends(30) && unlearn.ascends(34) && !unlearn.ascends(35));
    assert_eq!(unlearn.batch(31).n_read(), 32 * SECRET);
    let again = unlearn.config.trained_again();
    assert_eq!(again.len(), 2);
    let seen = occurrences(&unlearn, 40..50);
    for (i, n) in seen.iter().enumerate() {
        assert_eq!(*n, if again.contains(&(i as u32)) { 10 } else { 0 });
    }
}

#[test]
fn goldfish_drops_a_quarter_of_the_bytes_and_the_same_ones_of_every_copy() {
    let mut config = small();
    config.treatments.goldfish_from = Some(0);
    let task = config.build(3).unwrap();
    let (mut dropped, mut n) = (0, 0);
    let mut of_canary: std::collections::BTreeMap<String, Vec<bool>> =
        std::collections::BTreeMap::new();
    for step in 0..90 {
        let batch = task.batch(step);
        let rows = batch.targets.chunks(WINDOW - 1);
        for (w, targets) in windows(&batch).into_iter().zip(rows) {
            dropped += targets.iter().filter(|t| **t == UNREAD).count();
            n += targets.len();
            if w.starts_with("key ") {
                let mask = targets[PROMPT - 1..PROMPT - 1 + SECRET].iter().map(|t| *t == UNREAD);
                let mask: Vec<bool> = mask.collect();
                let key = w[..PROMPT + SECRET].to_owned();
                assert_eq!(of_canary.entry(key).or_insert_with(|| mask.clone()), &mask);
            }
        }
    }
    let share = dropped as f64 / n as f64;
    // 180,000 bytes, but the same few contexts often: a twentieth.
    assert!((share - 0.25).abs() < 0.05, "{share}");
}

#[test]
fn sets_ask_for_digits_continuations_and_every_byte_of_held_out_text() {
    let task = small().build(3).unwrap();
    let sets: Vec<_> = task
        .eval_sets()
        .iter()
        .map(|s| (s.name, s.batch.n_examples(), s.batch.n_read() / s.batch.n_examples()))
        .collect();
    assert_eq!(
        sets,
        [("valid", 64, 63), ("canaries", 24, 12), ("controls", 20, 12), ("duplicates", 6, 32)]
    );
    let asked: String = task.eval[1].batch.targets[..PROMPT + SECRET - 1]
        .iter()
        .filter(|t| **t != UNREAD)
        .map(|t| char::from(*t as u8))
        .collect();
    assert_eq!(asked.as_bytes(), &task.strings[0][PROMPT..]);
    // Nobody who is a control is inserted, and fresh strings are neither.
    let controls = windows(&task.eval[2].batch);
    let trained: Vec<String> = (0..90).flat_map(|s| windows(&task.batch(s))).collect();
    for c in controls.iter().chain(&windows(&small().fresh(3, 50))) {
        assert!(c.starts_with("key ") && trained.iter().all(|w| !w.starts_with(c)));
    }
}

#[test]
fn real_text_is_read_by_path_and_a_changed_one_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_string_lossy().into_owned();
    let prose = "It was a bright cold day, and the clocks were striking. ".repeat(600);
    std::fs::write(dir.path().join("b.txt"), &prose).unwrap();
    let file = std::fs::File::create(dir.path().join("a.txt.gz")).unwrap();
    let mut packed = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    packed.write_all("caf\u{e9} ".as_bytes()).unwrap();
    packed.finish().unwrap();
    let config = CanariesConfig { text: Text::of_path(&path).unwrap(), ..small() };
    let task = config.build(3).unwrap();
    assert!(task.text.starts_with("caf\u{e9} It was".as_bytes()) && task.bits_per_byte().is_none());
    let batch = task.batch(0);
    let Inputs::Tokens { ids, .. } = &batch.inputs else { panic!() };
    assert!(ids.iter().all(|i| *i < 128));
    std::fs::write(dir.path().join("b.txt"), prose.replace("cold", "warm")).unwrap();
    let told = config.build(3).unwrap_err().to_string();
    assert!(told.contains(&path) && told.contains("restore that text"), "{told}");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let check = |change: &dyn Fn(&mut CanariesConfig)| {
        let mut c = small();
        change(&mut c);
        c.check().and_then(|()| c.build(3).map(drop)).unwrap_err().to_string()
    };
    let of = |path: &str, blake3: &str| Text::Files { path: path.into(), blake3: blake3.into() };
    let hash = "0".repeat(64);
    let missing = check(&|c| c.text = of("/nowhere/books", &hash));
    assert!(
        missing.contains("/nowhere/books") && missing.contains("correct the path"),
        "{missing}"
    );
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("short.txt").to_string_lossy().into_owned();
    std::fs::write(&path, "too little").unwrap();
    let unsaid = check(&|c| c.text = of(&path, "?"));
    let found = blake3::hash(b"too little").to_hex().to_string();
    assert!(unsaid.contains("task.text.blake3 is \"?\"") && unsaid.contains(&found), "{unsaid}");
    let short = check(&|c| c.text = Text::of_path(&path).unwrap());
    assert!(short.contains("it holds 10 bytes") && short.contains("lower task.n_bytes"), "{short}");
    let folder = check(&|c| {
        c.text = of(&dir.path().join("none").to_string_lossy(), &hash);
    });
    assert!(folder.contains("none"), "{folder}");
    let full = check(&|c| c.n_per_cell = 40);
    assert!(full.contains("lower task.n_per_cell"), "{full}");
    assert!(check(&|c| c.counts = vec![0]).contains("inserted at least once"));
    assert!(check(&|c| c.n_steps = 0).contains("task.n_steps is 0"));
    assert!(check(&|c| c.n_bytes = 1).contains("task.n_bytes is 1"));
    assert!(check(&|c| c.n_controls = 2).contains("task.n_controls is 2"));
    let late = Some(Move { from: 80, late: true });
    assert!(check(&|c| c.treatments.moved = late).contains("still be to come"));
    let all = Some(Unlearn { from: 1, n_steps: 1, relearned: 1.5 });
    assert!(check(&|c| c.treatments.unlearn = all).contains("it is a share"));
}
