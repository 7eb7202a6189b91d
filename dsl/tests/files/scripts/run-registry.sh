#!/bin/sh
# run-registry
true
