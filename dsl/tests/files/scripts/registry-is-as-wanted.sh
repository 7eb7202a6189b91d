#!/bin/sh
# registry-is-as-wanted
true
