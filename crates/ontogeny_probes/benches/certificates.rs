//! What a certificate costs: `certify/<arithmetic>/<images>` on one thread, for the small network of Gowal et al. on
//! images of 28 by 28 (convolutions of 16 and 32 channels, 4 by 4, stride 2, then 100 units), with as many examples a
//! second as throughput.
//!
//! Weights are those of an untrained network: the cost does not depend on them.

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use ontogeny_core::random::Philox;
use ontogeny_engine::Stage;
use ontogeny_probes::ParamView;
use ontogeny_probes::certificate::{Arithmetic, Certifier};

/// The command's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    divan::main();
}

const SHAPES: [(&str, &[usize]); 8] = [
    ("conv.0.w", &[16, 1, 4, 4]),
    ("conv.0.b", &[16]),
    ("conv.1.w", &[32, 16, 4, 4]),
    ("conv.1.b", &[32]),
    ("hidden.w", &[2048, 100]),
    ("hidden.b", &[100]),
    ("out.w", &[100, 10]),
    ("out.b", &[10]),
];

fn certifier() -> Certifier {
    let draw = |(k, (_, shape)): (usize, &(&str, &[usize]))| -> Vec<f32> {
        let n: usize = shape.iter().product();
        let fan_in = if shape.len() == 4 { shape[1] * 16 } else { shape[0] };
        let (d, std) = (Philox::new(1, "weights").at(k as u64), (2.0 / fan_in as f64).sqrt());
        (0..n as u64).map(|i| (std * d.normal(i)) as f32).collect()
    };
    let values: Vec<Vec<f32>> = SHAPES.iter().enumerate().map(draw).collect();
    let views: Vec<ParamView<'_>> = (SHAPES.iter().zip(&values))
        .map(|((name, shape), values)| ParamView { name, shape, values })
        .collect();
    let (first, second) = (Stage::conv("conv.0", 2, 2), Stage::conv("conv.1", 2, 2));
    let (hidden, out) = (Stage::dense("hidden"), Stage::dense("out"));
    let stages = [first, Stage::Relu, second, Stage::Relu, hidden, Stage::Relu, out];
    Certifier::new([1, 28, 28], &stages, &views).expect("a chain of layers")
}

fn measure(bencher: Bencher, n: usize, arithmetic: Arithmetic) {
    let certifier = certifier();
    let d = Philox::new(1, "images").at(0);
    let images: Vec<f32> = (0..784 * n as u64).map(|i| d.uniform(i) as f32).collect();
    let targets: Vec<u32> = (0..n as u32).map(|i| i % 10).collect();
    let certify = || certifier.certify(black_box(&images), &targets, 0.1, arithmetic);
    let found = certify().expect("pixels in range");
    assert!(found.margins.iter().all(|m| m.best().is_finite()));
    bencher.counter(ItemsCount::new(n)).bench_local(certify);
}

#[divan::bench_group(name = "certify", sample_count = 5, sample_size = 1)]
mod certify {
    use super::{Arithmetic, Bencher, measure};

    #[divan::bench(args = [16, 128, 1000])]
    fn f32_in_any_order(bencher: Bencher, n: usize) {
        measure(bencher, n, Arithmetic::F32);
    }

    #[divan::bench(args = [1000])]
    fn real(bencher: Bencher, n: usize) {
        measure(bencher, n, Arithmetic::Real);
    }
}
