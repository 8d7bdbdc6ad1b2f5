-- The suffix of the key that says a job's state, empty for none.
--@args base id
--@include find_state
return find_state(base, id) or ''
