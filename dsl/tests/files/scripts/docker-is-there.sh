#!/bin/sh
# docker-is-there
true
