#!/bin/sh
# Installs its argument, without a question.
set -e
DEBIAN_FRONTEND=noninteractive apt-get install --yes "$1"
