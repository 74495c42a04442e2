//! Numbers of any few bits, one after the other, least significant bit first.

/// Writes numbers of up to 64 bits.
#[derive(Debug)]
pub(crate) struct BitWriter<'a> {
    bytes: &'a mut Vec<u8>,
    at: usize,
    rest: u64,
    n_rest: u32,
}

impl<'a> BitWriter<'a> {
    /// For at most `n_bits` bits in all, behind what is in `bytes`.
    pub(crate) fn new(bytes: &'a mut Vec<u8>, n_bits: usize) -> Self {
        let at = bytes.len();
        bytes.resize(at + n_bits.div_ceil(8) + 8, 0);
        Self { bytes, at, rest: 0, n_rest: 0 }
    }

    /// Appends the low `n` bits of `value`, whose other bits are zero.
    #[inline]
    pub(crate) fn push(&mut self, value: u64, n: u32) {
        if n > 32 {
            self.push_short(value & 0xffff_ffff, 32);
            self.push_short(value >> 32, n - 32);
        } else {
            self.push_short(value, n);
        }
    }

    #[inline]
    fn push_short(&mut self, value: u64, n: u32) {
        self.rest |= value << self.n_rest;
        self.n_rest += n;
        if let Some(place) = self.bytes.get_mut(self.at..self.at + 8) {
            place.copy_from_slice(&self.rest.to_le_bytes());
        }
        self.at += (self.n_rest >> 3) as usize;
        self.rest >>= self.n_rest & !7;
        self.n_rest &= 7;
    }

    /// Ends with a whole byte.
    pub(crate) fn finish(self) {
        self.bytes.truncate(self.at + usize::from(self.n_rest > 0));
    }
}

/// Reads what a [`BitWriter`] wrote. Beyond the end there are zeros; [`BitReader::finish`] tells.
#[derive(Debug)]
pub(crate) struct BitReader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> BitReader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    #[inline]
    pub(crate) fn take(&mut self, n: u32) -> u64 {
        if n > 32 {
            let low = self.take_short(32);
            low | self.take_short(n - 32) << 32
        } else {
            self.take_short(n)
        }
    }

    #[inline]
    fn take_short(&mut self, n: u32) -> u64 {
        let from = self.at >> 3;
        let word = match self.bytes.get(from..from + 8).and_then(|b| b.try_into().ok()) {
            Some(whole) => u64::from_le_bytes(whole),
            None => self.last_word(from),
        };
        let value = word >> (self.at & 7) & ((1 << n) - 1);
        self.at += n as usize;
        value
    }

    #[cold]
    fn last_word(&self, from: usize) -> u64 {
        let mut word = [0; 8];
        let rest = self.bytes.get(from..).unwrap_or_default();
        word[..rest.len()].copy_from_slice(rest);
        u64::from_le_bytes(word)
    }

    /// What follows the last byte that was begun; `None` if more was read than there is.
    pub(crate) fn finish(self) -> Option<&'a [u8]> {
        self.bytes.get(self.at.div_ceil(8)..)
    }
}
