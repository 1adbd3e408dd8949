package main

func {
