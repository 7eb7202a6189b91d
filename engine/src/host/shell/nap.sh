# A fifth of a second, where `sleep` knows fractions.
a_nap() { sleep 0.2 || sleep 1; }
