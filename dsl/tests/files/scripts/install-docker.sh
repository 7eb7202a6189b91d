#!/bin/sh
# install-docker
true
