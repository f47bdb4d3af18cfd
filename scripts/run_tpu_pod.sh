#!/bin/sh
# One run on all workers of a Cloud TPU pod slice; JAX finds the others by itself.
#
#   TPU=my-slice ZONE=us-central2-b sh scripts/run_tpu_pod.sh --config cifar10_resnet20 --out runs/a
#
# The package must be installed and the data prepared on every worker (see docs/scaling.md).
# Worker 0 writes the run directory. To go on after a preemption: --resume runs/a.
set -eu
: "${TPU:?the name of the TPU}" "${ZONE:?its zone}"
DIRECTORY=${DIRECTORY:-jaxcompress}  # of the checkout, on every worker
arguments=
for argument in "$@"; do  # quoted for the shell of the workers
    arguments="$arguments '$(printf %s "$argument" | sed "s/'/'\\\\''/g")'"
done
exec gcloud compute tpus tpu-vm ssh "$TPU" --zone "$ZONE" --worker=all \
    --command "cd $DIRECTORY && . .venv/bin/activate && python -m jaxcompress.run$arguments"
