#!/bin/sh
echo ok
curl ${{ inputs.url }}
