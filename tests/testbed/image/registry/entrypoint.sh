#!/bin/sh
# The registry image's entry point: a config file means `serve` it; `serve` and `garbage-collect` are passed on.
set -e
case "$1" in
  *.yaml | *.yml) set -- registry serve "$@" ;;
  serve | garbage-collect | help | -*) set -- registry "$@" ;;
esac
exec "$@"
