-- One job: the suffix of the key that says its state (empty for none), its hash, and its score
-- in `delayed`.
--@keys delayed
--@args base id
--@include find_state read_hash
return { find_state(base, id) or '', read_hash(base .. id), raw('ZSCORE', delayed, id) }
