# Runs one program in its channel, without files: for guards, facts and probes.
eval "$a_job"
