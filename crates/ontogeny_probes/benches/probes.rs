//! What a reading costs: `probes/<probe>/<size>`, at the sizes of the micro, CPU and published models.
//!
//! Every measurement starts from a fresh observation, so nothing that probes share is carried over from the one
//! before. `all` is the whole set, in which it is shared once.

#[path = "../tests/hand_made/mod.rs"]
mod hand_made;

use divan::{Bencher, black_box};
use hand_made::HandMade;
use ontogeny_probes::{NeuronBlocks, ProbeSet, Readings};

/// The command's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    divan::main();
}

/// p, d_model, d_mlp.
const SIZES: [(usize, usize, usize); 3] = [(31, 48, 192), (53, 64, 256), (113, 128, 512)];

fn network((p, d_model, d_mlp): (usize, usize, usize)) -> HandMade {
    HandMade::new(p, d_model, d_mlp, &[1, 4, 6, 11, 14], 4.0, 0.3)
}

fn measure(bencher: Bencher, mut set: ProbeSet, size: (usize, usize, usize)) {
    let network = network(size);
    let mut readings = Readings::new();
    set.measure(&network.observe(1), &mut readings);
    assert!(!readings.scalars.is_empty(), "{:?}", readings.reasons);
    bencher.with_inputs(|| network.observe(1)).bench_local_refs(|observation| {
        readings.clear();
        set.measure(black_box(observation), &mut readings);
    });
}

macro_rules! bench_probes {
    ($($name:ident),*) => {
        #[divan::bench_group(name = "probes")]
        mod probes {
            use super::{Bencher, ProbeSet, SIZES, measure};

            $(#[divan::bench(args = SIZES)]
            fn $name(bencher: Bencher, size: (usize, usize, usize)) {
                let set = ProbeSet::named([stringify!($name)]).expect("a listed probe");
                measure(bencher, set, size);
            })*

            #[divan::bench(args = SIZES)]
            fn all(bencher: Bencher, size: (usize, usize, usize)) {
                measure(bencher, ProbeSet::all(), size);
            }
        }
    };
}

bench_probes!(
    set_loss,
    skill_losses,
    weight_norms,
    embedding_spectrum,
    key_frequencies,
    progress_measures,
    slingshots
);

/// The clever way against the naive one.
#[divan::bench_group(name = "neurons")]
mod neurons {
    use super::{Bencher, NeuronBlocks, SIZES, network};
    use ontogeny_probes::FourierBasis;

    /// Four sums over the grid and their transforms.
    #[divan::bench(args = &SIZES[..2])]
    fn four_sums(bencher: Bencher, size: (usize, usize, usize)) {
        let (network, basis) = (network(size), FourierBasis::new(size.0));
        bencher.bench_local(|| NeuronBlocks::of(&basis, network.d_mlp, &network.activations));
    }

    /// The first of the two transforms of every neuron over the whole grid.
    #[divan::bench(args = &SIZES[..2])]
    fn transform_of_one_argument(bencher: Bencher, size: (usize, usize, usize)) {
        let (network, basis) = (network(size), FourierBasis::new(size.0));
        let (p, n) = (network.p, network.p * network.d_mlp);
        let mut out = vec![0.0_f32; p * n];
        bencher.bench_local(|| {
            for (out, wave) in out.chunks_mut(n).zip(basis.rows().chunks(p)) {
                out.fill(0.0);
                for (row, &w) in network.activations.chunks(n).zip(wave) {
                    out.iter_mut().zip(row).for_each(|(o, x)| *o += w * x);
                }
            }
        });
    }
}
